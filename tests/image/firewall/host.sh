#!/bin/sh
# A host with Docker's rules, in a container with rights over its own network only: outside, the mail network and
# another container's are network namespaces. What listens at an address of them says hello.
set -eu

at_once() { # IPv6 looks for others with the same address first
    case $1 in *::*) echo nodad ;; esac
}

link() { # NAMESPACE INTERFACE ADDRESSES-OF-THE-HOST ADDRESSES-OF-THE-NAMESPACE...
    namespace=$1 interface=$2 ours=$3
    shift 3
    ip netns add "$namespace"
    ip link add "$interface" type veth peer name eth0 netns "$namespace"
    for address in $ours; do ip address add "$address" dev "$interface" $(at_once "$address"); done
    ip link set "$interface" up
    ip -n "$namespace" link set lo up
    for address in "$@"; do ip -n "$namespace" address add "$address" dev eth0 $(at_once "$address"); done
    ip -n "$namespace" link set eth0 up
}

ip link set lo up
link outside eth0 "192.0.2.1/24 192.0.2.7/24 2001:db8::1/64" 192.0.2.2/24 192.0.2.3/24 2001:db8::2/64
link mail br-mail "172.20.0.1/16 fd00:25::1/64" 172.20.0.3/16 172.20.0.5/16 172.20.0.9/16 fd00:25::5/64
link other br-other 172.30.0.1/16 172.30.0.2/16
ip -n outside route add default via 192.0.2.1
ip -n outside route add default via 2001:db8::1
ip -n mail route add default via 172.20.0.1
ip -n mail route add default via fd00:25::1
ip -n other route add default via 172.30.0.1

# As Docker does it: ports of the host lead to containers, and its FORWARD chain asks DOCKER-USER first.
publish() { # PORT CONTAINER:PORT [ADDRESS OF THE HOST]
    iptables -t nat -A DOCKER -p tcp ${3:+-d "$3"} --dport "$1" -j DNAT --to-destination "$2"
}
for command in iptables ip6tables; do
    "$command" -t nat -N DOCKER
    "$command" -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
    "$command" -N DOCKER-USER
    "$command" -A FORWARD -j DOCKER-USER
    "$command" -A FORWARD -o br-+ -j ACCEPT
    "$command" -A FORWARD -i br-+ -j ACCEPT
done

publish 25 172.20.0.3:1025
publish 587 172.20.0.3:1587
publish 1587 172.20.0.9:1587
publish 993 172.20.0.5:1993 192.0.2.7
publish 2587 172.20.0.9:1587
publish 995 172.20.0.5:1995
publish 8080 172.30.0.2:80
ip6tables -t nat -A DOCKER -p tcp --dport 993 -j DNAT --to-destination "[fd00:25::5]:1993"
ip6tables -t nat -A DOCKER -p tcp --dport 995 -j DNAT --to-destination "[fd00:25::5]:1995"

serve() { # NAMESPACE PORTS...: in it, or "" for the host itself
    namespace=$1
    shift
    ${namespace:+ip netns exec "$namespace"} python3 /test/talk.py serve "$@" &
}
serve mail 1025 1587 1993 1995 2525
serve other 80
serve outside 53
serve "" 22 4190
echo ready
wait
