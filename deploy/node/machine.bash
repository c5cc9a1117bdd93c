# shellcheck shell=bash
# machine.bash: a node as a machine. Its first process holds a pid, mount, uts and network namespace;
# every process of the node is in the node's cgroups and ends when the first one does.
#
#   <K8S_DIR>/nodeN/pid         the first process, as the machine numbers it
#   <K8S_DIR>/nodeN/commands/   one script per daemon, run again by `fault start`
#   <K8S_DIR>/nodeN/log/        one log per daemon

# The directories in which a node gets a cgroup: one with cgroup v2, else one per controller.
cgroup_hierarchies() {
  if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    echo /sys/fs/cgroup
  else
    local file
    for file in /sys/fs/cgroup/*/cgroup.procs; do dirname "$file"; done
  fi
}

# make_cgroups NODE: daemons live in <scope>/daemons, Pods in <scope>/kubepods beside them.
make_cgroups() {
  local scope hierarchy group
  scope=$(node_scope "$1")
  for hierarchy in $(cgroup_hierarchies); do
    for group in "$hierarchy/$scope" "$hierarchy/$scope/daemons"; do
      # v2 hands controllers down by name; v1's cpusets start empty and take nobody in.
      if [ -e "$hierarchy/cgroup.subtree_control" ] && [ "$hierarchy" = /sys/fs/cgroup ]; then
        sed 's/[^ ]\+/+&/g' "$(dirname "$group")/cgroup.controllers" > "$(dirname "$group")/cgroup.subtree_control"
      fi
      mkdir -p "$group"
      [ -e "$hierarchy/cpuset.cpus" ] || continue
      cat "$hierarchy/cpuset.cpus" > "$group/cpuset.cpus"
      cat "$hierarchy/cpuset.mems" > "$group/cpuset.mems"
    done
  done
}

# join_cgroups NODE: moves the calling shell into the node.
join_cgroups() {
  local hierarchy
  for hierarchy in $(cgroup_hierarchies); do
    echo "$BASHPID" > "$hierarchy/$(node_scope "$1")/daemons/cgroup.procs"
  done
}

# processes_of SCOPE: every process in the scope's cgroups, as the machine numbers them.
processes_of() {
  local hierarchy
  for hierarchy in $(cgroup_hierarchies); do
    [ ! -d "$hierarchy/$1" ] || find "$hierarchy/$1" -name cgroup.procs -exec cat {} + 2> /dev/null
  done | sort -un
}

# first_process NODE: its number, if it lives and is the node's: numbers are given again after a crash.
first_process() {
  local pid
  pid=$(cat "$(node_dir "$1")/pid" 2> /dev/null) || return 1
  grep -qs "/$(node_scope "$1")/daemons" "/proc/$pid/cgroup" && echo "$pid"
}

# in_node NODE COMMAND...: runs it in the node's namespaces, from the working directory of the caller.
in_node() {
  local pid
  pid=$(first_process "$1") || die "node $1 is not running"
  shift
  nsenter --target "$pid" --mount --net --pid --uts --wd="$PWD" -- "$@"
}

# boot_node NODE: cgroups, network namespace, links, and the first process.
boot_node() {
  local node=$1 dir scope
  dir=$(node_dir "$node")
  scope=$(node_scope "$node")
  mkdir -p "$dir"/{log,commands,etc/cni}
  rm -f "$dir/booted" "$dir/pid"
  make_cgroups "$node"
  [ -e "/run/netns/$scope" ] || ip netns add "$scope"
  if [ "$node" -gt 1 ] && ! ip -n "$scope" link show eth0 > /dev/null 2>&1; then
    ip -n "$(node_scope 1)" link add "port$node" type veth peer name eth0 netns "$scope"
    ip -n "$(node_scope 1)" link set "port$node" master switch up
  fi
  (
    join_cgroups "$node"
    exec setsid nice -n "${K8S_NICE:-5}" nsenter --net="/run/netns/$scope" \
      unshare --mount --propagation private --uts --pid --fork "$here/boot" "$node"
  ) >> "$dir/log/boot.log" 2>&1 < /dev/null &
  wait_for 20 "node $node's boot; its log is $dir/log/boot.log" test -e "$dir/booted"
}

# start_daemon NODE NAME COMMAND...: writes down how it is started, and starts it.
start_daemon() {
  local node=$1 name=$2
  shift 2
  {
    printf '#!/bin/bash\necho $$ > /run/daemons/%s\nexec' "$name"
    printf ' %q' "$@"
    echo
  } > "$(node_dir "$node")/commands/$name"
  chmod +x "$(node_dir "$node")/commands/$name"
  launch_daemon "$node" "$name"
}

# launch_daemon NODE NAME: as it was started before.
launch_daemon() {
  local dir pid
  dir=$(node_dir "$1")
  [ -x "$dir/commands/$2" ] || die "node $1 has no daemon $2; it has: $(cd "$dir/commands" && echo *)"
  pid=$(first_process "$1") || die "node $1 is not running"
  (
    join_cgroups "$1"
    exec setsid nice -n "${K8S_NICE:-5}" nsenter --target "$pid" --mount --net --pid --uts --wd=/ -- \
      env PATH="$tools:$PATH" "$dir/commands/$2"
  ) >> "$dir/log/$2.log" 2>&1 < /dev/null &
}

# signal_daemon NODE NAME SIGNAL: and waits until it has ended.
signal_daemon() {
  # shellcheck disable=SC2016 # expanded in the node, where the number has its meaning
  in_node "$1" bash -c '
    pid=$(cat "/run/daemons/$1") && kill "-$2" "$pid" || exit 1
    for _ in $(seq 300); do kill -0 "$pid" 2> /dev/null || exit 0; sleep 0.1; done
    exit 1' - "$2" "$3" || die "node $1's $2 does not run, or does not end within 30 s of SIG$3"
}

# power_off NODE: the kernel ends every process of a pid namespace with its first one.
power_off() {
  local pid
  pid=$(first_process "$1") || return 0
  kill -KILL "$pid"
  # nsenter stops itself along with a daemon that was stopped, out here: it has to see the end.
  processes_of "$(node_scope "$1")/daemons" | xargs -r kill -CONT 2> /dev/null || true
  wait_for 30 "the end of node $1's processes" no_process_in "$(node_scope "$1")/daemons"
}
no_process_in() { [ -z "$(processes_of "$1")" ]; }
