package clue

// facts are hand-set: each weight says whether there is a use for the thing in a call
// between services that is no attack, and how common that is.
var facts = [kinds]fact{
	SQLTautology: {7200101, "sql-tautology", SQL, Strong, "A condition of SQL between constants, where a value is expected"},
	SQLUnion:     {7200102, "sql-union", SQL, Strong, "A second SELECT is joined to a statement"},
	SQLStacked:   {7200103, "sql-stacked", SQL, Strong, "A second statement of SQL begins in a value"},
	SQLFunction:  {7200104, "sql-function", SQL, Strong, "A function of SQL that waits, reads files or leaks data"},
	SQLTail:      {7200105, "sql-comment-tail", SQL, Strong, "A quote, and the rest of a statement made a comment"},
	SQLSubquery:  {7200106, "sql-subquery", SQL, Strong, "A SELECT inside of an expression"},
	// People who administer databases name them, too.
	SQLSchema: {7200107, "sql-schema", SQL, Suspicious, "A table that describes the database"},
	// Services for reports take whole statements.
	SQLStatement: {7200108, "sql-statement", SQL, Hint, "A whole statement of SQL"},
	SQLComment:   {7200109, "sql-comment", SQL, Suspicious, "Words of a statement of SQL kept apart by comments or signs"},
	SQLProbe:     {7200110, "sql-probe", SQL, Suspicious, "A value that ends in the middle of a clause of SQL"},
	SQLBreakout:  {7200111, "sql-breakout", SQL, Strong, "A quote that ends a text of SQL, and a condition behind it"},

	HTMLHandler: {7200201, "html-handler", Script, Strong, "A tag with an event handler"},
	HTMLScript:  {7200202, "html-script", Script, Strong, "A script tag"},
	ScriptURL:   {7200203, "script-url", Script, Strong, "A URL that is a script"},
	// Mails and documents embed pages, videos and forms.
	HTMLActive:   {7200204, "html-active", Script, Suspicious, "A tag that loads or runs content"},
	HTMLBreakout: {7200205, "html-breakout", Script, Strong, "A quote that ends an attribute, and an event handler or tag behind it"},
	JSComputed:   {7200206, "js-computed", Script, Strong, "A member of a global object by a computed name"},
	JSCall:       {7200207, "js-call", Script, Strong, "A call that proves that a script runs"},
	JSEncoded:    {7200208, "js-encoded", Script, Strong, "A script made of punctuation"},
	JSTemplate:   {7200209, "js-template", Script, Strong, "A function called by a template literal"},
	// Source code in tickets and chats calls all of them.
	JSSink:      {7200210, "js-sink", Script, Suspicious, "A script that reads secrets or runs text"},
	JSPrototype: {7200211, "js-prototype", Script, Strong, "The prototype of all objects as a target"},
	JSBreakout:  {7200212, "js-breakout", Script, Strong, "A quote that ends a text of a script, and a call behind it"},

	JSTheft: {7200213, "js-theft", Script, Strong, "A script that gives a cookie away"},

	ShellChain:        {7200301, "shell-chain", Shell, Strong, "A separator of a shell, and a command behind it"},
	ShellSubstitution: {7200302, "shell-substitution", Shell, Strong, "The output of a command in place of a value"},
	ShellEvasion:      {7200303, "shell-evasion", Shell, Strong, "A command written so that its name is not seen"},
	ShellRemote:       {7200304, "shell-remote", Shell, Strong, "A shell that another machine talks to, or that runs what it was sent"},
	ShellWindows:      {7200305, "shell-windows", Shell, Strong, "A command of Windows"},
	// Jobs and containers are configured by commands.
	ShellCommand: {7200306, "shell-command", Shell, Hint, "A whole command"},
	// Searches for commands are few, and short of a second opinion.
	ShellDirect: {7200307, "shell-direct", Shell, Suspicious, "A parameter that is a whole command"},
	// Tickets and prompts quote them.
	ShellQuoted: {7200308, "shell-quoted", Shell, Hint, "A shell for another machine, in a text of several lines"},

	TemplateArithmetic:   {7200401, "template-arithmetic", Expression, Strong, "A template that computes: the usual first probe"},
	ExpressionReflection: {7200402, "expression-reflection", Expression, Strong, "An expression that reaches for the runtime"},
	// Dashboards and mails have templates that call functions.
	TemplateCall:      {7200403, "template-call", Expression, Hint, "A template that calls a method"},
	TemplateDirective: {7200404, "template-directive", Expression, Strong, "A directive of a template language"},
	LogLookup:         {7200405, "jndi-lookup", Expression, Strong, "A lookup that loads a class (JNDI)"},
	NestedLookup:      {7200406, "nested-lookup", Expression, Strong, "A lookup made of lookups, so that its name is not seen"},

	JavaObject:   {7200501, "java-object", Object, Strong, "A serialized object of Java"},
	PHPObject:    {7200502, "php-object", Object, Strong, "A serialized object of PHP"},
	DotNetObject: {7200503, "dotnet-object", Object, Strong, "A serialized object of .NET"},
	PythonObject: {7200504, "python-object", Object, Strong, "A pickled object of Python"},
	RubyObject:   {7200505, "ruby-object", Object, Strong, "A serialized object of Ruby"},
	GadgetClass:  {7200506, "gadget-class", Object, Strong, "A class that deserialization is attacked with"},
	NodeObject:   {7200507, "node-object", Object, Strong, "A serialized function of JavaScript"},

	PathToSecret: {7200601, "path-to-secret", Path, Strong, "A file that holds secrets of the system"},
	// Source maps may, in large projects.
	PathDeep:    {7200602, "path-deep", Path, Suspicious, "A path that goes up several directories"},
	PathEncoded: {7200603, "path-encoded", Path, Strong, "A path whose steps up are disguised"},
	PathProbe:   {7200604, "path-probe", Path, Strong, "A request for a file that is never served on purpose"},
	PathNull:    {7200605, "path-null", Path, Strong, "A file name that ends early"},
	// Links and imports do, but are rarely a parameter of a call.
	PathUp: {7200606, "path-up", Path, Suspicious, "A parameter that is a path which goes up"},
	// Agents are told of logs and mounts.
	PathSystem: {7200607, "path-system", Path, Suspicious, "A parameter that is the path of a file of the system"},
	// Services that keep sources are asked for any file.
	PathHidden: {7200608, "path-hidden", Path, Suspicious, "A hidden file or a backup, by its name"},

	XMLEntity:   {7200701, "xml-entity", XML, Strong, "A declaration of an entity of XML"},
	XMLExternal: {7200702, "xml-external", XML, Strong, "A document type of XML that lies elsewhere"},
	XMLInclude:  {7200703, "xml-include", XML, Strong, "An inclusion of another file into XML"},

	MetadataAddress: {7200801, "metadata-address", URL, Strong, "A URL of a cloud's metadata service"},
	URLScheme:       {7200802, "url-scheme", URL, Strong, "A URL of a scheme that reaches what HTTP does not"},
	URLDisguised:    {7200803, "url-disguised", URL, Strong, "A URL whose host is written so that it is not recognised"},
	// Test set-ups do.
	URLInternal: {7200804, "url-internal", URL, Suspicious, "A parameter that is a URL of the machine itself, or of a name that stands for an internal address"},
	// Web sites have pages that end so.
	URLInclusion: {7200805, "url-inclusion", URL, Suspicious, "A parameter that is the URL of a script to include"},

	CodeTag:         {7200901, "code-tag", Code, Strong, "Source code of PHP or of a server page"},
	CodeCall:        {7200902, "code-call", Code, Strong, "A call that runs code or a program on a server"},
	CodeImport:      {7200903, "code-import", Code, Strong, "Code that loads what runs programs"},
	CodeSuperglobal: {7200904, "code-superglobal", Code, Strong, "Code that reads its instructions from a request"},
	// A search for the name of a function looks like a call of it.
	CodeAlone: {7200905, "code-alone", Code, Suspicious, "A parameter that is one call of a function of PHP or Node.js"},

	LDAPFilter:    {7201001, "ldap-filter", Query, Strong, "A filter of LDAP is ended, and another begun"},
	XPathQuery:    {7201002, "xpath-query", Query, Strong, "An expression of XPath where a value is expected"},
	QueryOperator: {7201003, "query-operator", Query, Strong, "An operator of a document database in the name of a parameter"},
	QueryScript:   {7201004, "query-script", Query, Strong, "A script for a document database"},
	// Services in front of such a database take filters in its language, and so do indexes
	// of vectors.
	QueryMember:  {7201005, "query-member", Query, Hint, "An operator of a document database as a member"},
	QueryTrivial: {7201006, "query-trivial", Query, Suspicious, "An operator of a document database with an operand that lets everything through"},

	HeaderInjection: {7201101, "header-injection", Protocol, Strong, "A line end, and a header field behind it"},
	UTF7:            {7201102, "utf7", Protocol, Strong, "Markup in UTF-7"},
	NULByte:         {7201103, "nul-byte", Protocol, Suspicious, "A NUL in a text"},
	MailCommand:     {7201104, "mail-command", Protocol, Strong, "A line end, and a command of a mail server"},
}
