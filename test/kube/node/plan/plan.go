// Package plan is what a node's process 1 is told by whoever starts the node.
package plan

import "time"

// Up is the file in the node's directory that says that every program was started.
const Up = "up"

// A Plan is a node.
type Plan struct {
	// Dir is where everything is that the node writes.
	Dir string
	// Hostname is what the node is called.
	Hostname string
	// Link is the interface to the machine, Address and Gateway the ends of it.
	Link, Address, Gateway string
	// Commands are started in this order.
	Commands []Command
}

// A Command is one program.
type Command struct {
	// Name is that of its log.
	Name string
	// Args is the program and its arguments, Env what is in its environment besides
	// ours.
	Args, Env []string
	// Within is how long it may take to succeed, if it is one that ends; 0: it runs
	// for as long as the node does.
	Within time.Duration
}
