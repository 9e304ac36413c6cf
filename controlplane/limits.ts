/** Every bound of the controller: unit in the name, reason beside it. At a bound the input is refused with a finding. */
export const limits = {
  // --- sources
  /** One YAML file. Kubernetes stores no object above 1.5 MiB; a file may hold several. Parsing takes about 1 s per MiB. */
  fileBytesMax: 4 * 1024 * 1024,
  /** Files under all sources together; one object per file and 50,000 pods fit. */
  filesMax: 100_000,
  /** Folders below a source. */
  folderDepthMax: 16,
  /** Mappings and lists inside one another; the YAML composer is recursive and must never exhaust the stack. */
  yamlDepthMax: 64,
  /** Values in one file after aliases are expanded: what an alias bomb can make of it. */
  yamlNodesMax: 1_000_000,
  /** Aliases in one file. */
  yamlAliasesMax: 1_000,
  /** Quiet time after a file event before the folder is read, ms: editors and kubelets write in bursts. */
  debounceMs: 100,
  /** A file that shrank in place (the same inode) is read only after this much quiet, ms: it may be half written. */
  shrunkFileQuietMs: 1_000,
  /** Every source is looked at this often, ms, whatever the file events said: they can be lost. */
  reconcileMs: 5_000,
  /** fs.watch handles; folders beyond it are only reconciled. */
  watchesMax: 1_024,

  // --- configuration
  /** Elements of any list in an object. */
  listLengthMax: 4_096,
  /** Entries of any mapping of text to text: labels, annotations, selectors. Agents take twice as many. */
  mapEntriesMax: 4_096,
  /** Container ports of one pod that have names. */
  namedPortsMax: 4_096,
  /** Services that one pod backs; further ones by name are left out and reported. Agents take twice as many. */
  podServicesMax: 4_096,
  /** Findings kept and shown; the number left out is shown too. */
  findingsMax: 1_000,
  /** Sum of an HTTPRoute's rules; the Gateway API allows 16, large meshes generate more. */
  routeRulesMax: 1_024,

  // --- push
  /** Octets of resources in one response. More goes into further responses, each applied whole. */
  responseBytesMax: 4 * 1024 * 1024,
  /** A request with the versions of 50,000 resources is about 5 MiB. */
  requestBytesMax: 32 * 1024 * 1024,
  /** Streams at a time; further ones end with RESOURCE_EXHAUSTED. */
  agentStreamsMax: 5_000,
  /** Names one stream may subscribe to one by one. */
  subscribedNamesMax: 100_000,
  /** Agents that are gone and still shown in the status. */
  departedAgentsMax: 1_000,
  /** A connection is probed when nothing was received for so long, ms. */
  keepaliveTimeMs: 10_000,
  /** No answer to a probe for so long, ms: the agent is gone. */
  keepaliveTimeoutMs: 10_000,
  /** Time for streams to end at shutdown, ms; then they are cut. */
  shutdownGraceMs: 2_000,

  // --- admin
  /** Longest GET /wait, ms. */
  waitTimeoutMsMax: 600_000,
  /** GET /wait calls under way. */
  waitersMax: 256,
} as const;
