package template

import (
	"strings"

	"github.com/outrider-mesh/outrider/proxy/inspect/payload/clue"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/lexicon"
)

// reaches tells whether an expression names what leads to the runtime.
func reaches(inside string) bool {
	lower := lexicon.FoldASCII(inside)
	if at, _ := lexicon.IndexAny(lower, "__class__", "__mro__", "__subclasses__", "__globals__", "__builtins__", "__import__",
		"__init__", "__getattribute__", "__base__", "getclass", ".class.", "forname(", "getruntime", "processbuilder",
		"java.lang", "java.util.scanner", "java.io", "javax.script", "t(java", "t(org.", "t(javax", "new java", "new javax",
		"#_memberaccess", "@java.lang", "allowstaticmethodaccess", "?new(", "freemarker", "registerundefinedfilter",
		"_self.env", "|filter('", "|map('", "|reduce('", "|sort('", `|filter("`, `|map("`, "scriptengine", "classloader",
		"constructor(", "constructor.constructor", "request.application", "self._templatereference", "lipsum.", "cycler.",
		"joiner.", "os.popen", "popen(", "system(", "system '", "system \"", "exec(", "shell_exec", "passthru", "`id`", "file.open", "file.read",
		"io.popen", "kernel.", "dir.entries", "global.process", "process.mainmodule", "child_process", "config.items",
		"config.from", "settings.secret", "get_flashed_messages.", "url_for.", "|attr(", "attr('__", "nashorn", "elprocessor",
		"facescontext", "runtime.exec", "system qq{", "system q{", "qx{", "qx(", "setproperty(", "invoke(", "multipart/form-data", "servletactioncontext"); at >= 0 {
		return true
	}
	switch strings.TrimSpace(lower) {
	case "config", "self", "settings", "dump(app)", "app.request.server.all", "request.environ", "self.__dict__",
		"config.secret_key", "_self", "request", "dump()", "#root", "#this", "debug", "sessionscope", "requestscope", "applicationscope",
		"pagecontext", "initparam", "headervalues", "paramvalues", "facescontext":
		return strings.TrimSpace(lower) != "request" && strings.TrimSpace(lower) != "debug"
	}
	return false
}

// reflection looks for expressions of OGNL and the Spring expression language, and for
// chains of Python's and Java's reflection, without delimiters: parameters are evaluated
// by their names, too.
func reflection(t *lexicon.Text, found *clue.List) {
	if !t.Words.Any(lexicon.Reflection) || !t.Bytes.Any(lexicon.Paren|lexicon.Dot|lexicon.Bracket|lexicon.Hash|lexicon.At) ||
		t.Document() {
		return
	}
	lower := t.Lower()
	at, which := lexicon.IndexAny(lower, "getruntime().exec", "@java.lang.runtime@", "#_memberaccess", "t(java.lang.",
		"__class__.__", "__subclasses__(", "__globals__[", "__builtins__", ".getclass().forname", "class.forname(",
		"new java.lang.processbuilder", "java.lang.processbuilder(", "#context[", "xwork.methodaccessor",
		"allowstaticmethodaccess", "class.module.classloader", "class.classloader", "org.apache.struts2", "ognl.ognlcontext",
		"getscriptengine", "scriptenginemanager", "__import__('os')", "java.lang.runtime.getruntime", "java.lang.runtime\")",
		"freemarker.template.utility", "@ognl.", "new groovyshell", "com.opensymphony.xwork2", "getclass().getclassloader",
		".getclass().getprotectiondomain", "java.lang.runtime')", "__mro__[", "|attr(", "this.constructor.constructor")
	if which >= 0 {
		found.Add(clue.ExpressionReflection, at, 8)
	}
}

// directives looks for statements of template languages.
func directives(t *lexicon.Text, found *clue.List) {
	if t.Document() {
		return
	}
	lower := t.Lower()
	if at, _ := lexicon.IndexAny(lower, "#set(", "#set (", "#foreach(", "#evaluate(", "#include(\"", "#parse(\"", "<#assign", "<#list",
		"<#include", "<#if", "${class.inspect", "$class.inspect", "{php}", "{% import", "{%import", "{% extends", "{% include", "{% debug",
		"{%debug", "{% load", "<!--#exec", "<!--#include", "<!--#echo", "<!--#printenv", "<jsp:", "<cfexecute", "<cfset", "<c:out",
		"<esi:include", "<esi:", "<%@", "<xsl:value-of", "system-property(", "xalan/java", "php:function(", "<msxsl:script",
		"@{system.", "#{7*7}", "<%= ", "{{#with \"s\" as", "{{#with 's' as", "split as |", ".sub.apply 0 "); at >= 0 {
		found.Add(clue.TemplateDirective, at, 6)
	}
}
