package object

import (
	"strings"

	"github.com/outrider-mesh/outrider/proxy/inspect/payload/clue"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/lexicon"
)

// pickle looks for the text form of a pickle that calls a function, and for tags of
// YAML that make objects of Python or Ruby.
func pickle(t *lexicon.Text, found *clue.List) {
	s := t.S
	if at, which := lexicon.IndexAny(s, "cos\nsystem", "cposix\nsystem", "cnt\nsystem", "c__builtin__\n", "csubprocess\n", "cbuiltins\n",
		"\x8c\x05posix", "\x8c\x08builtins", "\x8c\x02os", "!!python/object", "!!python/module", "!!python/name"); which >= 0 {
		found.Add(clue.PythonObject, at, 8)
	}
	if at, which := lexicon.IndexAny(s, "!ruby/object", "!ruby/hash", "!ruby/struct", "!ruby/regexp", "--- !ruby"); which >= 0 {
		found.Add(clue.RubyObject, at, 8)
	}
	if at, which := lexicon.IndexAny(s, "!!js/function", "2002:js/function", "!php/object"); which >= 0 {
		found.Add(clue.NodeObject, at, 8)
	}
}

// gadgets looks for classes whose objects run something when they are made, by name.
// Stack traces are full of class names, so only those count that are an attack's
// purpose, and any class of the JDK or of a framework that is asked for by a type field.
func gadgets(t *lexicon.Text, found *clue.List) {
	if t.Document() && !t.Bytes.Any(lexicon.Less|lexicon.Brace) {
		return
	}
	lower := t.Lower()
	if at, which := lexicon.IndexAny(lower, "hexasciiserializedmap", "com.sun.rowset.jdbcrowsetimpl", "templatesimpl", "ysoserial",
		"badattributevalueexpexception", "invokertransformer", "chainedtransformer", "commons.collections.functors",
		"com.mchange.v2.c3p0", "bcel.util.classloader", "dbcp.basicdatasource", "dbcp2.basicdatasource",
		"dbcp.dbcp2.basicdatasource", "javax.naming.initialcontext", "com.sun.jndi", "unicastref", "java.rmi.server.unicastremoteobject",
		"annotationinvocationhandler", "objectdataprovider", "system.diagnostics.process", "windowsidentity, ",
		"typeconfusedelegate", "system.windows.data", "psobject, system.management", "classpathxmlapplicationcontext",
		"filesystemxmlapplicationcontext", "javax.script.scriptenginemanager", "java.net.urlclassloader", "sun.misc.unsafe",
		"org.apache.xalan.xsltc", "com.sun.org.apache.xalan", "com.sun.org.apache.bcel", "org.codehaus.groovy.runtime",
		"java.beans.eventhandler", "class=\"java.beans.xmldecoder", "class=\"java.lang.processbuilder", "<java.util.priorityqueue",
		"com.ibatis.sqlmap.engine.datasource.jndi", "ch.qos.logback.core.db", "org.apache.ibatis.datasource.jndi",
		"org.apache.commons.configuration.jndi", "com.alibaba.druid.pool", "oracle.jdbc.rowset", "br.com.anteros",
		"com.zaxxer.hikari.hikariconfig", "net.sf.ehcache.transaction.manager", "<object-stream", "<dynamic-proxy>",
		"org.jboss.interceptor", "java.lang.runtime\"", "<void class=\"java", "<object class=\"java", "yaml.org,2002:python", "yaml.org,2002:js", "\"py/reduce\""); which >= 0 {
		found.Add(clue.GadgetClass, at, 8)
		return
	}
	if i := typed(lower); i >= 0 {
		found.Add(clue.GadgetClass, i, 6)
	}
}

// typed looks for "@type":"java…" and its like: a field that chooses a class, and a
// class of the runtime. The type of google.protobuf.Any, a URL, is none.
func typed(lower string) int {
	for _, field := range []string{`"@type"`, `"@class"`, `"$type"`, `"@c"`} {
		i := strings.Index(lower, field)
		if i < 0 {
			continue
		}
		at := lexicon.SkipSpace(lower, i+len(field))
		if at >= len(lower) || lower[at] != ':' {
			continue
		}
		value := strings.TrimLeft(lexicon.Window(lower, at+1, 32), " \t\r\n\"[l")
		for _, prefix := range []string{"java.", "javax.", "com.sun.", "sun.", "org.apache.", "org.springframework.", "system.", "com.mchange", "ang.class"} {
			if strings.HasPrefix(value, prefix) {
				return i
			}
		}
	}
	return -1
}
