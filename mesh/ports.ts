/** Ports and marks that capture, data plane and plugin must agree on (Istio ambient's, so that tools and firewalls know them). */
export const OUTBOUND_PORT = 15001;
export const INBOUND_PORT = 15006;
export const HBONE_PORT = 15008;
/** A pod that dials one of these, on any mesh pod, is refused: it could only loop. */
export const RESERVED_PORTS: readonly number[] = [OUTBOUND_PORT, INBOUND_PORT, HBONE_PORT];

/** fwmark on sockets the agent opens: exempt from capture. Mask: only these bits are ours. */
export const BYPASS_MARK = 0x539;
export const MARK_MASK = 0xfff;
/** Connection mark that brings replies to a spoofed client address back to the agent, and its routing table. */
export const REPLY_MARK = 0x111;
export const REPLY_TABLE = 100;
/** Mark of what arrives from outside a pod of that mode, and of the sockets that accept it (net.ipv4.tcp_fwmark_accept): answered by the pod's own routing. */
export const ARRIVED_MARK = 0x333;
/** Routing table that leads a pod's connections to the agent (interception mode TPROXY). */
export const TPROXY_TABLE = 101;

/** Connection mark of connections that bypass the agent (mesh/bypass.ts): what they may do is looked at with every packet. */
export const BYPASSED_MARK = 0x222;

/** Kubelet probes are sent from these link-local addresses after SNAT on the node (same as Istio ambient). */
export const PROBE_SOURCE_V4 = '169.254.7.127';
export const PROBE_SOURCE_V6 = 'fd16:9254:7127:1337:ffff:ffff:ffff:ffff';

/** `weir capture verify` dials these from inside a pod; the agent answers, nothing else ever would (RFC 5737, RFC 3849). */
export const VERIFY_ADDRESS_V4 = '192.0.2.253';
export const VERIFY_ADDRESS_V6 = '2001:db8::253';
/** The destination port of a verification, outbound (with the addresses above) and inbound (with the pod's own address). */
export const VERIFY_PORT = 15009;
