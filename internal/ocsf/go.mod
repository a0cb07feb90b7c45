// What the inspection engine needs of this module to compile. The engine's audit
// log, which inspection never writes, has a form for the Open Cybersecurity Schema
// Framework; it is registered when a program starts, so the linker keeps the whole
// schema, as protobuf messages: 0.7 MiB of the sidecar and a megabyte of its memory.
// Here are the few types that the form names, without the messages. Nothing of ours
// imports them, and inspect refuses the directives that would write such a log.
module github.com/valllabh/ocsf-schema-golang

go 1.24
