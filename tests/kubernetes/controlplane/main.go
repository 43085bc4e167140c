// The real control plane that judges Towpath's embedded cluster and its Kubernetes client, in one binary.
//
// The first argument names the component (etcd, kube-apiserver, kube-controller-manager, kube-scheduler); the rest are
// that component's own flags. One binary instead of five links the shared packages once, which halves build time and size.
// The component apply-oracle is not of Kubernetes: see oracle.go.
// control_plane.py beside this directory builds, configures, starts and ends it.
package main

import (
	"context"
	"fmt"
	"os"
	"sort"
	"strings"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

var components = map[string]func() *cobra.Command{
	"kube-apiserver":          apiserver.NewAPIServerCommand,
	"kube-controller-manager": controllermanager.NewControllerManagerCommand,
	"kubelet":                 func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) },
	"kube-scheduler":          func() *cobra.Command { return scheduler.NewSchedulerCommand() },
}

func main() {
	if len(os.Args) < 2 {
		fail()
	}
	name := os.Args[1]
	if name == "etcd" {
		etcdmain.Main(os.Args[1:])
		return
	}
	if name == "apply-oracle" && len(os.Args) == 3 {
		if err := oracle(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	create, known := components[name]
	if !known {
		fail()
	}
	os.Args = os.Args[1:]
	os.Exit(cli.Run(create()))
}

func fail() {
	names := []string{"apply-oracle", "etcd"}
	for name := range components {
		names = append(names, name)
	}
	sort.Strings(names)
	fmt.Fprintf(os.Stderr, "usage: control-plane COMPONENT [flags]; components: %s\n", strings.Join(names, ", "))
	os.Exit(2)
}
