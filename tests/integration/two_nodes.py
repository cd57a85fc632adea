"""A Ray cluster of two nodes on this machine, in a process of its own so that no other test meets Ray.

    python two_nodes.py

Prints the address; `kill` on stdin kills the second node as a power cut would, `begin` begins another, the end of stdin
ends all.
"""

import os
import sys

# Workers are begun when they are needed, not one for each CPU that the nodes claim to have, and yield to nobody.
os.environ |= {"RAY_prestart_worker_first_driver": "0", "RAY_worker_niceness": "0"}
CPUS = 4
BEATS = {"health_check_initial_delay_ms": 1000, "health_check_period_ms": 500, "health_check_failure_threshold": 3}


def main() -> None:
    from ray.cluster_utils import Cluster

    head = {"num_cpus": CPUS, "include_dashboard": False, "_system_config": BEATS}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    second = cluster.add_node(num_cpus=CPUS)
    _say(cluster.address)
    for line in sys.stdin:
        if line.strip() == "kill":
            cluster.remove_node(second, allow_graceful=False)
        else:
            second = cluster.add_node(num_cpus=CPUS)
        _say("done")
    cluster.shutdown()


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
