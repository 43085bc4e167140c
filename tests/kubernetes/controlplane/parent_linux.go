package main

import "syscall"

// A component ends when the tests that started it end, however they end; a killed test run leaves nothing behind. Killed, not
// asked: kube-apiserver without etcd would not come to the end of its farewell.
// In init, because only there the main goroutine is sure to run on the main thread, to which the setting belongs.
func init() {
	syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_PDEATHSIG, uintptr(syscall.SIGKILL), 0)
}
