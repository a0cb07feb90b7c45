// Package enums has the constant of an observable that the engine names.
package enums

// OBSERVABLE_TYPE_ID_OBSERVABLE_TYPE_ID_OTHER says that the schema has no number for it.
const OBSERVABLE_TYPE_ID_OBSERVABLE_TYPE_ID_OTHER = 99
