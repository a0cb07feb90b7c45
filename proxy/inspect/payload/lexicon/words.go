package lexicon

// Group is a set of groups of words.
type Group uint32

// The groups. A word can be in several.
const (
	// SQLVerb begins a statement or joins two.
	SQLVerb Group = 1 << iota
	// SQLLogic stands between conditions or begins a clause.
	SQLLogic
	// SQLFunction takes a database where a caller has no business: time, files,
	// other servers, errors that carry data.
	SQLFunction
	// SQLBuiltin is a function or constant that is harmless by itself.
	SQLBuiltin
	// SQLSchema names tables that describe a database.
	SQLSchema
	// Handler is an attribute of HTML that holds a script.
	Handler
	// Global is an object of a browser through which all others can be reached.
	Global
	// Sink is a function or property of a browser that runs what it is given.
	Sink
	// Property is what attacks on scripts read or write.
	Property
	// Command is a program of a shell.
	Command
	// Interpreter is a program that runs programs.
	Interpreter
	// CodeCall is a function of PHP, Python, Ruby or JavaScript on a server that
	// runs programs or code, or reads files.
	CodeCall
	// Reflection is what expression languages reach the runtime with.
	Reflection
	// File is part of the name of a file that holds secrets.
	File
	// Scheme is one of URLs that no service gives to another.
	Scheme
	// Lookup is part of a lookup of a logging library.
	Lookup
	// Gadget is part of a class name that deserialization is attacked with.
	Gadget
	// Revived marks a function that a library of JavaScript restores from a text.
	Revived
)

// Any tells whether the sets have a group in common.
func (g Group) Any(of Group) bool { return g&of != 0 }

type list struct {
	group Group
	words string // in lower case
}

func lists() []list {
	return []list{
		{SQLVerb, `select insert update delete drop alter create truncate exec execute declare union waitfor
			shutdown merge replace grant handler with dbcc call openrowset backup restore rename set intersect except`},
		{SQLLogic, `or and xor like rlike regexp between in is not having where order group limit into procedure div
			mod exists sounds glob similar ilike`},
		{SQLFunction, `sleep benchmark pg_sleep load_file extractvalue updatexml receive_message utl_http utl_inaddr
			drithsx xp_cmdshell xp_dirtree xp_regread sp_executesql sp_oacreate sys_eval sys_exec randomblob zeroblob
			load_extension group_concat analyse analyze outfile dumpfile infile gtid_subset name_const xmltype
			make_set waitfor lo_import lo_export pg_read_file pg_ls_dir dbms_pipe dbms_lock dbms_ldap dbms_scheduler
			dbms_xmlgen ctxsys httpuritype query_to_xml database_to_xml copy xp_fileexist fn_xe_file_target_read_file
			geometrycollection multipoint polygon linestring st_latfromgeohash exp json_keys`},
		{SQLBuiltin, `char chr nchar concat concat_ws ascii substring substr mid ord hex unhex version user database
			current_user session_user system_user ifnull isnull nvl count cast convert iif elt rand floor count
			greatest least length len lower upper md5 sha1 true false null row_count last_insert_id schema
			user_name db_name host_name bin instr locate position lpad rpad reverse coalesce nullif decode if case rownum
			sqlite_version current_database unicode quotename left right repeat mod typeof to_char to_number sqrt
			abs regexp_substring pg_typeof rpad randomblob dbms_random ctxsys json_depth soundex strcmp isnumeric`},
		{SQLSchema, `information_schema sysobjects syscolumns sysdatabases pg_catalog pg_shadow pg_user pg_database
			sqlite_master sqlite_schema all_tables all_tab_columns user_tables user_tab_columns table_name
			column_name table_schema schemata dual msysobjects mysql master innodb_table_stats
			dba_users pg_tables sysusers all_users syslogins`},
		{Handler, `onabort onafterprint onafterscriptexecute onanimationcancel onanimationend onanimationiteration
			onanimationstart onauxclick onbeforecopy onbeforecut onbeforeinput onbeforematch onbeforepaste
			onbeforeprint onbeforescriptexecute onbeforetoggle onbeforeunload onbegin onblur onbounce oncancel
			oncanplay oncanplaythrough onchange onclick onclose oncontextmenu oncopy oncuechange oncut ondblclick
			ondrag ondragend ondragenter ondragexit ondragleave ondragover ondragstart ondrop ondurationchange onend
			onended onerror onfinish onfocus onfocusin onfocusout onformdata onfullscreenchange ongotpointercapture
			onhashchange oninput oninvalid onkeydown onkeypress onkeyup onload onloadeddata onloadedmetadata
			onloadend onloadstart onlostpointercapture onmessage onmousedown onmouseenter onmouseleave onmousemove
			onmouseout onmouseover onmouseup onmousewheel onoffline ononline onpagehide onpageshow onpaste onpause
			onplay onplaying onpointercancel onpointerdown onpointerenter onpointerleave onpointermove onpointerout
			onpointerover onpointerrawupdate onpointerup onpopstate onprogress onratechange onreadystatechange
			onrepeat onreset onresize onscroll onscrollend onsearch onsecuritypolicyviolation onseeked onseeking
			onselect onselectionchange onselectstart onshow onstart onstorage onsubmit onsuspend ontimeupdate ontoggle
			ontouchcancel ontouchend ontouchmove ontouchstart ontransitioncancel ontransitionend ontransitionrun
			ontransitionstart onunhandledrejection onunload onvolumechange onwebkitanimationend
			onwebkitanimationstart onwebkittransitionend onwheel onzoom onpropertychange onactivate
			onbeforeactivate oncontentvisibilityautostatechange onscrollsnapchange`},
		{Global, `window self top parent frames globalthis document this location opener content navigator`},
		{Sink, `alert prompt confirm eval settimeout setinterval function fetch import atob fromcharcode
			xmlhttprequest write writeln innerhtml outerhtml insertadjacenthtml execscript importscripts srcdoc
			setimmediate msgbox appendchild createelement getscript sendbeacon print console`},
		{Property, `cookie localstorage sessionstorage constructor __proto__ prototype domain innerhtml src href
			source name hash referrer documenturi baseuri onerror`},
		{Command, `cat ls id whoami uname wget curl nc ncat netcat ping sleep echo rm chmod chown nslookup dig
			ifconfig ip netstat ps env printenv touch cp mv head tail more less tac nl od xxd base64 awk sed grep
			find kill killall dir type ipconfig systeminfo tasklist net netsh certutil bitsadmin hostname pwd
			mkfifo telnet ssh scp sftp ftp tftp socat crontab export set uptime w who last df du mount dd sort rev
			strings file tee xargs ln mknod nohup sudo su passwd useradd groups lsb_release getent host tracert
			traceroute arp route reboot shutdown halt printf expr vol ver tree copy del findstr reg wmic
			rundll32 regsvr32 mshta cscript wscript sc schtasks iptables tar gzip zip unzip gcc make apt yum
			iwr irm iex iwmi icm saps time cd trap alias timeout usleep strace ltrace setsid stdbuf nice doas unshare visudo flock cpulimit column comm
			base32 basenc bridge fold gunzip zcat bzcat xzcat zstdcat unxz bunzip2 bsdtar gdb irb c89 c99 cc rmt perf java
			jshell xterm ansible aptitude dpkg rpm pip gem npm ksshell hexdump sqlite3 mysqldump pg_dump ldd lsof mount
			umount tcpdump openssl rsync whois finger expect ed vi vim nano csplit split paste join cut tr uniq watch
			systemctl journalctl service chroot pkexec screen tmux regedit bcdboot bcdedit esentutl msiexec installutil
			forfiles diskshadow makecab pcalua odbcconf ieexec msbuild cmstp winrm findstr icacls takeown attrib xcopy
			robocopy vssadmin fsutil quser nltest dsquery cmdkey whoami`},
		{Interpreter, `bash sh zsh ksh csh dash ash fish busybox python python2 python3 perl ruby php node lua
			powershell pwsh cmd exec eval tclsh gawk`},
		{CodeCall, `system exec passthru shell_exec popen proc_open pcntl_exec eval assert phpinfo base64_decode
			file_get_contents file_put_contents call_user_func call_user_func_array create_function preg_replace
			array_map array_filter usort fopen readfile include include_once require require_once highlight_file
			show_source print var_export gzinflate str_rot13 move_uploaded_file print_r var_dump die md5 unserialize ini_set
			allow_url_include auto_prepend_file child_process execsync spawnsync spawn mainmodule __import__
			subprocess os check_output getattr compile invokefunction chr strrev php _get _post _request _cookie
			_server _files _env globals scandir glob unlink fwrite fputs echo readfilesync execfile open
			instance_eval class_eval backticks kernel io curl_exec error_log putenv dl mail getenv virtual exit
			bzdecompress gzdecode gzuncompress zlib_decode fsockopen pfsockopen posix_getpwuid posix_getegid posix_getuid
			posix_kill posix_mkfifo get_defined_functions get_defined_vars get_defined_constants curl_init file_exists
			is_readable parse_ini_file php_uname get_current_user func_get_args register_shutdown_function
			set_error_handler array_walk array_reduce uasort uksort ob_start convert_uudecode hex2bin
			assert_options override_function set_include_path mb_ereg_replace`},
		{Reflection, `runtime getruntime processbuilder getclass forname classloader getclassloader
			__class__ __mro__ __base__ __bases__ __subclasses__ __globals__ __builtins__ __init__ __getattribute__
			_memberaccess memberaccess allowstaticmethodaccess scriptenginemanager getenginebyname newinstance
			invoke getmethod getdeclaredmethod ognlcontext ognl xwork execute freemarker velocity
			objectconstructor jythonruntime servletactioncontext t getinputstream ioutils processimpl unsafe
			springframework getdeclaredconstructors loadclass classpathxmlapplicationcontext nashorn
			registerundefinedfiltercallback getfilter lipsum cycler joiner namespace get_flashed_messages url_for
			request application self config g session class context attr popen constructor import_module
			static smarty template_object getstaticcontext inspect assign foreach _self env setcache mainmodule
			readlines kernel file dir facescontext externalcontext getproperty requestcontextholder
			beans defaultclassresolver settings include macro evaluate introspect
			elprocessor groovy groovyshell shell rt lang processhandle`},
		{File, `passwd shadow environ win boot web htaccess htpasswd id_rsa id_dsa id_ed25519 authorized_keys hosts ini
			ssh etc proc wp sam system32 inf cmdline issue group sudoers fstab version known_hosts bash_history
			access error log logs httpd nginx apache apache2 php credentials aws git svn env config environment
			my cnf resolv conf crontab mysql windows winnt meta-inf web-inf server tomcat bashrc profile
			motd hostname kube token serviceaccount docker dockerenv kubeconfig passwords secrets maps fd
			ds_store hg bzr idea vscode npmrc pgpass netrc`},
		{Scheme, `gopher dict phar expect php file jar netdoc ldap ldaps rmi dns iiop corba nds nis tftp sftp zip
			zlib glob data ogg rar ssh2 compress metadata javascript vbscript livescript netbios ftp smb mhtml
			jndi mssql localhost`},
		{Lookup, `jndi lower upper env sys java date ctx main log4j`},
		{Gadget, `sun com java javax org type class objectdataprovider processstartinfo diagnostics windows
			hexasciiserializedmap templatesimpl jdbcrowsetimpl badattributevalueexpexception commonscollections
			invokertransformer chainedtransformer priorityqueue ysoserial autotype basicdatasource
			unicastref annotationinvocationhandler objectinstance python perl ruby system rome fastjson php js yaml py reduce`},
		{Revived, `nd_func __js_function _cryo_function_ _cryo_ref_`},
	}
}
