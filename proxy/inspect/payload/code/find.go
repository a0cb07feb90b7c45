// Package code finds source code for servers where a value is expected: PHP and server
// pages, calls that run programs, and what has to be loaded to make them.
//
// Code is everyday content of tickets, reviews and chats as well. There it stands in
// texts of several lines, so in those only what opens a page of PHP counts.
package code

import (
	"strings"

	"github.com/outrider-mesh/outrider/proxy/inspect/payload/clue"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/lexicon"
)

// Find looks for code in a value.
func Find(t *lexicon.Text, found *clue.List) {
	if t.Bytes.Any(lexicon.Less) {
		tags(t, found)
	}
	if t.Entered && t.Bytes.All(lexicon.Dollar|lexicon.Paren) {
		variable(t, found)
	}
	if t.Entered && t.Bytes.Any(lexicon.Dot|lexicon.Bracket) {
		ofNode(t, found)
	}
	if t.Bytes.All(lexicon.Double|lexicon.Ampersand|lexicon.Paren) && strings.Count(t.S, `"&"`) >= manyPieces {
		found.Add(clue.CodeCall, strings.Index(t.S, `"&"`), 3)
	}
	if !t.Words.Any(lexicon.CodeCall) || !t.Bytes.Any(lexicon.Paren|lexicon.Dollar|lexicon.Backtick|lexicon.Backslash) {
		return
	}
	superglobals(t, found)
	if !t.Document() {
		imports(t, found)
		calls(t, found)
		alone(t, found)
	}
}

// manyPieces is how many texts are joined by & where the words of a server page are hidden
// by taking them apart: "Ex"&"e"&"cute".
const manyPieces = 4

// tags looks for where a page begins to be code.
func tags(t *lexicon.Text, found *clue.List) {
	lower := t.Lower()
	at, which := lexicon.IndexAny(lower, "<?php", "<?=", "<script language=\"php\"", "<script language=php", "<%eval", "<%execute", "<%=eval",
		"<%@ page", "<%@page", "<jsp:scriptlet", "runat=\"server\"", "runat=server", "<?\n", "<? ", "<%response.", "<%runtime", "<%!")
	if which >= 0 && !strings.HasPrefix(lower[at:], "<?xml") && !(which == 0 && sample(t, lower)) {
		found.Add(clue.CodeTag, at, 5)
	}
}

// superglobals looks for code that takes its instructions from a request. In a text of
// several lines that is a function which runs them at once, and is not marked as code.
func superglobals(t *lexicon.Text, found *clue.List) {
	if t.Document() {
		if at, _ := lexicon.IndexAny(t.Lower(), "eval($_", "system($_", "assert($_", "shell_exec($_", "passthru($_", "exec($_", "popen($_"); at >= 0 && !lexicon.InCode(t.S, at) {
			found.Add(clue.CodeSuperglobal, at, 6)
		}
		return
	}
	if at, _ := lexicon.IndexAny(t.S, "$_GET[", "$_POST[", "$_REQUEST[", "$_COOKIE[", "$_SERVER[", "$_FILES[", "$GLOBALS[", "${_GET}", "$_GET{",
		"$HTTP_RAW_POST_DATA", "$_SESSION[", "params[:", "Request.Item[", "request.getParameter(", "getallheaders()"); at >= 0 &&
		(strings.ContainsAny(t.S, "(`") && t.Words.Any(lexicon.CodeCall)) {
		found.Add(clue.CodeSuperglobal, at, 6)
	}
}

// imports looks for what has to be loaded before a program can be run.
func imports(t *lexicon.Text, found *clue.List) {
	lower := t.Lower()
	at, _ := lexicon.IndexAny(lower, "__import__(", "require('child_process')", "require(\"child_process\")", "require(`child_process`)",
		"process.mainmodule", "process.binding(", "import os;", "import os,", "from os import", "import subprocess", "import pty", "child_process').exec",
		"global.process.", "require('fs')", "mainmodule.require", "importlib.import_module", "java.lang.runtime.getruntime()",
		"builtins.__import__", "require 'open3'", "`require('net')`", "invokefunction&function", `\think\`, "think\\app/", "think\\app\\",
		"process.env", "constructor('return process')", "constructor(\"return process",
		"main.constructor._load", "constructor._load(")
	if at >= 0 && injected(t, at) {
		found.Add(clue.CodeImport, at, 8)
	}
}

// injected tells whether code stands where a value of a field is: the value is short.
func injected(t *lexicon.Text, at int) bool { return len(t.S) < 400 && at < 300 }
