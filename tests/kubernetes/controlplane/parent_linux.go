package main

import "syscall"

// A component ends when the tests that started it end, however they end; a killed test run leaves nothing behind.
// In init, because only there the main goroutine is sure to run on the main thread, to which the setting belongs.
func init() {
	syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_PDEATHSIG, uintptr(syscall.SIGTERM), 0)
}
