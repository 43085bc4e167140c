"""Whether an object works, in one word and one sentence.

The words are Argo CD's. `assess` starts with what holds for every kind (deletion, generations, Stalled and Reconciling
conditions), then asks the kind's own rule, then a `Ready` condition; what says nothing is healthy. Given its pods, a
workload that does not work says which pod fails and why, instead of "progressing".
"""

from towpath.kube.health.report import Health, HealthReport, worst
from towpath.kube.health.rules import assess

__all__ = ["Health", "HealthReport", "assess", "worst"]
