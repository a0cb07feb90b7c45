package clue

// Kind is what was found.
type Kind uint8

// The kinds, in the order of their classes.
const (
	None Kind = iota

	SQLTautology
	SQLUnion
	SQLStacked
	SQLFunction
	SQLTail
	SQLSubquery
	SQLSchema
	SQLStatement
	SQLComment
	SQLProbe
	SQLBreakout

	HTMLHandler
	HTMLScript
	ScriptURL
	HTMLActive
	HTMLBreakout
	JSComputed
	JSCall
	JSEncoded
	JSTemplate
	JSSink
	JSPrototype
	JSBreakout
	JSTheft

	ShellChain
	ShellSubstitution
	ShellEvasion
	ShellRemote
	ShellWindows
	ShellCommand
	ShellDirect
	ShellQuoted

	TemplateArithmetic
	ExpressionReflection
	TemplateCall
	TemplateDirective
	LogLookup
	NestedLookup

	JavaObject
	PHPObject
	DotNetObject
	PythonObject
	RubyObject
	GadgetClass
	NodeObject

	PathToSecret
	PathDeep
	PathEncoded
	PathProbe
	PathNull
	PathUp
	PathSystem
	PathHidden

	XMLEntity
	XMLExternal
	XMLInclude

	MetadataAddress
	URLScheme
	URLDisguised
	URLInternal
	URLInclusion

	CodeTag
	CodeCall
	CodeImport
	CodeSuperglobal
	CodeAlone

	LDAPFilter
	XPathQuery
	QueryOperator
	QueryScript
	QueryMember
	QueryTrivial

	HeaderInjection
	UTF7
	NULByte
	MailCommand

	kinds
)

// Class is a class of attacks.
type Class string

// The classes.
const (
	SQL        Class = "sql"
	Script     Class = "script"
	Shell      Class = "shell"
	Expression Class = "expression"
	Object     Class = "object"
	Path       Class = "path"
	XML        Class = "xml"
	URL        Class = "url"
	Code       Class = "code"
	Query      Class = "query"
	Protocol   Class = "protocol"
)

// A fact is what is said of a kind.
type fact struct {
	id     int
	name   string
	class  Class
	weight int
	says   string
}

// ID is the number that verdicts and exclusions use.
func (k Kind) ID() int { return facts[k].id }

// Name is "outrider/" and what was found.
func (k Kind) Name() string { return "outrider/" + facts[k].name }

// Class is the class of attacks that it belongs to.
func (k Kind) Class() Class { return facts[k].class }

// Weight is what it adds to a score.
func (k Kind) Weight() int { return facts[k].weight }

// Message says what was found, without any of the payload.
func (k Kind) Message() string { return facts[k].says }

// Kinds are all of them.
func Kinds() []Kind {
	all := make([]Kind, 0, kinds)
	for k := None + 1; k < kinds; k++ {
		all = append(all, k)
	}
	return all
}

// ByID finds a kind by its number; None if there is none.
func ByID(id int) Kind {
	for k := None + 1; k < kinds; k++ {
		if facts[k].id == id {
			return k
		}
	}
	return None
}
