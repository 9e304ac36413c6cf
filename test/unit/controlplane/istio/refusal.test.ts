/**
 * What Istio's own validation refuses, and what weir cannot do: each row is a spec and where and how it is said. A refused object
 * leaves no trace in the mesh.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mesh, object, said } from './mesh-yaml.ts';

type Row = readonly [spec: string, finding: string];

/** Every row is refused with this finding as its first error, and gives no resource. */
function check(kind: string, rows: readonly Row[]): void {
  for (const [spec, finding] of rows) {
    const translation = mesh(object(kind, '{name: x}', `  ${spec}`));
    assert.deepEqual(translation.mesh, [], spec);
    const errors = translation.findings.filter(({ severity }) => severity === 'error');
    assert.ok(errors.length > 0, `not refused: ${spec}`);
    const shown = said(translation);
    assert.ok(shown.includes(`${kind} default/x ${finding}`), `${spec}\n${shown.join('\n')}`);
  }
}

/** A spec with one http rule. */
function rule(text: string): string {
  return `{hosts: [a], http: [${text}]}`;
}

/** A spec with one http rule that has a destination and more. */
function withRoute(text: string): string {
  return rule(`{route: [{destination: {host: a}}], ${text}}`);
}

const AT = 'spec.http[0]';

test('VirtualService: hosts, gateways, exportTo', () => {
  check('VirtualService', [
    ['{hosts: [a]}', 'spec.http: is missing; add http, tls or tcp with a rule'],
    ['{hosts: ["*"], http: [{route: [{destination: {host: a}}]}]}', 'spec.hosts[0]: "*" is every host; name the hosts'],
    [
      '{hosts: ["a.*.com"], http: []}',
      'spec.hosts[0]: "a.*.com" has a wildcard that is not "*." at its beginning; write a name such as reviews, reviews.prod.svc.cluster.local or *.example.com',
    ],
    [
      '{hosts: [a_b], http: []}',
      'spec.hosts[0]: "a_b" is not a host name; write a name such as reviews, reviews.prod.svc.cluster.local or *.example.com',
    ],
    ['{hosts: [a.b.com, "*.b.com"]}', 'spec.hosts[1]: "*.b.com" overlaps a.b.com; remove one of the two'],
    [
      '{hosts: [a], gateways: ["b c"]}',
      'spec.gateways[0]: is "b c"; write mesh, the name of a Gateway, or namespace/name',
    ],
    ['{hosts: [a], exportTo: [A]}', 'spec.exportTo[0]: is "A"; write "*", "." or the name of a namespace'],
    ['{hosts: [a], exportTo: [".", default]}', 'spec.exportTo[1]: "default" names default a second time; remove it'],
    [
      '{hosts: [a], exportTo: ["*", b]}',
      'spec.exportTo: says "*" (everybody) beside namespaces; keep "*" or the namespaces',
    ],
    ['{hosts: [a], exportTo: ["~"]}', 'spec.exportTo[0]: is "~"; write "*", "." or the name of a namespace'],
    [
      '{gateways: [g], http: [{route: [{destination: {host: a}}]}]}',
      'spec.gateways: stands in a VirtualService without hosts, which others delegate to; remove gateways, or add hosts',
    ],
    ['{host: [a]}', 'spec.host: unknown field "host"; did you mean hosts?'],
  ]);
});

test('VirtualService: what a rule may say at once', () => {
  check('VirtualService', [
    [
      rule('{}'),
      `${AT}: says nothing to do with the request; add route with a destination, redirect or directResponse`,
    ],
    [withRoute('redirect: {uri: /a}'), `${AT}.route: stands beside redirect; keep redirect or route`],
    [
      rule('{redirect: {uri: /a}, fault: {delay: {fixedDelay: 1s, percentage: {value: 1}}}}'),
      `${AT}.fault: stands beside redirect; keep redirect or fault`,
    ],
    [
      rule('{redirect: {uri: /a}, rewrite: {uri: /b}}'),
      `${AT}.rewrite: stands beside redirect; keep redirect or rewrite`,
    ],
    [
      withRoute('directResponse: {status: 200}'),
      `${AT}.route: stands beside directResponse; keep directResponse or route`,
    ],
    [withRoute('delegate: {name: b}'), `${AT}.route: stands beside delegate; keep delegate or route`],
    [
      withRoute('mirror: {host: a}, mirrors: [{destination: {host: a}}]'),
      `${AT}.mirrors: stands beside mirror; keep mirrors`,
    ],
    [
      withRoute('rewrite: {authority: b}, headers: {request: {set: {host: c}}}'),
      `${AT}.headers: Host is set more than once; keep rewrite.authority or the header`,
    ],
    [
      rule('{route: [{destination: {host: a}}, {destination: {host: b}}]}'),
      `${AT}.route: has several destinations and no weight above 0; give each its weight`,
    ],
    [
      '{http: [{delegate: {name: b}}]}',
      `${AT}.delegate: a delegate cannot delegate further (Istio); name the last VirtualService in the root itself`,
    ],
    [
      rule('{match: [{uri: {regex: "/a.*"}}], delegate: {name: b}}'),
      `${AT}.match[0].uri.regex: a delegation cannot match by regex (Istio); write exact or prefix`,
    ],
    [
      withRoute('websocketUpgrade: true'),
      `${AT}.websocketUpgrade: websocketUpgrade (which Istio has removed as well) is not supported by weir yet; remove it; until then the object is not applied`,
    ],
  ]);
});

test('VirtualService: destinations', () => {
  const at = `${AT}.route[0]`;
  check('VirtualService', [
    [rule('{route: [{weight: 1}]}'), `${at}.destination: is missing; add destination with a host`],
    [
      rule('{route: [{destination: {subset: a}}]}'),
      `${at}.destination.host: is missing; add the host of a Service or ServiceEntry`,
    ],
    [rule('{route: [{destination: {host: "*"}}]}'), `${at}.destination.host: "*" is every host; name the hosts`],
    [
      rule('{route: [{destination: {host: 10.0.0.1}}]}'),
      `${at}.destination.host: "10.0.0.1" is an address; write a host name`,
    ],
    [
      rule('{route: [{destination: {host: a, subset: V1}}]}'),
      `${at}.destination.subset: is "V1"; it must be lower-case letters, digits and "-", at most 63, beginning and ending with a letter or digit`,
    ],
    [
      rule('{route: [{destination: {host: a, port: {number: 0}}}]}'),
      `${at}.destination.port.number: is 0; write an integer from 1 to 65535`,
    ],
    [
      rule('{route: [{destination: {host: a, port: 80}}]}'),
      `${at}.destination.port: is the number 80, not a mapping; indent its fields below it`,
    ],
    [
      rule('{route: [{destination: {host: a}, weight: -1}]}'),
      `${at}.weight: is -1; write an integer from 0 to 1000000`,
    ],
  ]);
});

test('VirtualService: matches', () => {
  const at = `${AT}.match[0]`;
  check('VirtualService', [
    [withRoute('match: [{uri: {exact: /a, prefix: /b}}]'), `${at}.uri: has both exact and prefix; keep one of them`],
    [withRoute('match: [{uri: {prefix: ""}}]'), `${at}.uri.prefix: is empty; write {} where presence is enough`],
    [
      withRoute('match: [{uri: {regex: ""}}]'),
      `${at}.uri.regex: "" is empty; write an RE2 expression (https://github.com/google/re2/wiki/Syntax)`,
    ],
    [
      withRoute('match: [{headers: {a: {exakt: b}}}]'),
      `${at}.headers.a.exakt: unknown field "exakt"; did you mean exact?`,
    ],
    [withRoute('match: [{headers: {a: null}}]'), `${at}.headers.a: has no value; write {} where presence is enough`],
    [
      withRoute('match: [{headers: {":path": {exact: /}}}]'),
      `${at}.headers[":path"]: ":path" is not a header name; write the match field method, uri, scheme or authority`,
    ],
    [
      withRoute('match: [{headers: {"@request.auth.claims.sub": {exact: a}}}]'),
      `${at}.headers["@request.auth.claims.sub"]: claims of a token are matched by gateways only; match a header that the claim was copied to`,
    ],
    [
      withRoute('match: [{method: {exact: "GET POST"}}]'),
      `${at}.method.exact: is "GET POST"; write a method such as GET`,
    ],
    [
      withRoute('match: [{sourceNamespace: A}]'),
      `${at}.sourceNamespace: is "A"; it must be lower-case letters, digits and "-", at most 63, beginning and ending with a letter or digit`,
    ],
    [withRoute('match: [{port: 70000}]'), `${at}.port: is 70000; write an integer from 0 to 65535`],
  ]);
  const translation = mesh(object('VirtualService', '{name: x}', `  ${withRoute('match: [{uri: {regex: "(a"}}]')}`));
  assert.match(said(translation)[0] ?? '', /match\[0\]\.uri\.regex: "\(a" is not an RE2 expression: /);
});

test('VirtualService: headers, redirect, rewrite, directResponse', () => {
  check('VirtualService', [
    [
      withRoute('headers: {request: {set: {Connection: x}}}'),
      `${AT}.headers.request.set.Connection: "Connection": this header frames the message and is set by weir alone; leave it out`,
    ],
    [
      withRoute('headers: {request: {remove: [host]}}'),
      `${AT}.headers.request.remove[0]: "host": Host is set by a request header or rewrite.authority only; leave it out`,
    ],
    [
      withRoute('headers: {response: {set: {":authority": x}}}'),
      `${AT}.headers.response.set[":authority"]: "host": Host is set by a request header or rewrite.authority only; leave it out`,
    ],
    [
      withRoute('headers: {request: {add: {x: "%DOWNSTREAM_REMOTE_ADDRESS%"}}}'),
      `${AT}.headers.request.add.x: "%DOWNSTREAM_REMOTE_ADDRESS%" has a variable of Envoy's, which weir does not know; write a fixed value; a literal % is written %%`,
    ],
    [
      withRoute('headers: {request: {add: {x: "a\\nb"}}}'),
      `${AT}.headers.request.add.x: "a\\nb" is not a header value; no line breaks, control characters or outer spaces, at most 4096 characters`,
    ],
    [rule('{redirect: {}}'), `${AT}.redirect: changes nothing; add uri, authority, scheme or port`],
    [
      rule('{redirect: {uri: /a, redirectCode: 304}}'),
      `${AT}.redirect.redirectCode: is 304; write one of 301, 302, 303, 307, 308`,
    ],
    [
      rule('{redirect: {uri: /a?b=c}}'),
      `${AT}.redirect.uri: "/a?b=c" is not a path; write a path beginning with "/"; the query of the request is kept as it is`,
    ],
    [rule('{redirect: {scheme: ftp}}'), `${AT}.redirect.scheme: is "ftp"; write one of http, https`],
    [
      rule('{redirect: {port: 80, derivePort: FROM_REQUEST_PORT}}'),
      `${AT}.redirect.derivePort: stands beside port; keep one of them`,
    ],
    [
      rule('{redirect: {authority: "a:99999"}}'),
      `${AT}.redirect.authority: is "a:99999"; write a host name, with :port where it is needed`,
    ],
    [withRoute('rewrite: {}'), `${AT}.rewrite: changes nothing; add uri, uriRegexRewrite or authority`],
    [
      withRoute('rewrite: {uri: b}'),
      `${AT}.rewrite.uri: "b" is not a path; write a path beginning with "/"; the query of the request is kept as it is`,
    ],
    [
      withRoute('rewrite: {uri: /a, uriRegexRewrite: {match: a, rewrite: b}}'),
      `${AT}.rewrite.uriRegexRewrite: stands beside uri; keep one of them`,
    ],
    [
      withRoute('rewrite: {uriRegexRewrite: {match: a}}'),
      `${AT}.rewrite.uriRegexRewrite.rewrite: is missing; add rewrite`,
    ],
    [
      withRoute('rewrite: {uriRegexRewrite: {match: a, rewrite: "\\\\x"}}'),
      `${AT}.rewrite.uriRegexRewrite.rewrite: "\\\\x" has a backslash that names no group; write \\0 to \\9 for groups and \\\\ for a backslash`,
    ],
    [rule('{directResponse: {body: {string: a}}}'), `${AT}.directResponse.status: is missing; add the status code`],
    [rule('{directResponse: {status: 199}}'), `${AT}.directResponse.status: is 199; write an integer from 200 to 599`],
    [
      rule('{directResponse: {status: 200, body: {bytes: "%"}}}'),
      `${AT}.directResponse.body.bytes: is not base64; encode it, or write string`,
    ],
    [
      rule('{directResponse: {status: 200, body: {bytes: /w==}}}'),
      `${AT}.directResponse.body.bytes: is not text in UTF-8; weir answers with text only`,
    ],
  ]);
});

test('VirtualService: faults, timeouts, retries, mirrors, corsPolicy', () => {
  const fault = (text: string): string => withRoute(`fault: {${text}}`);
  check('VirtualService', [
    [fault(''), `${AT}.fault: injects nothing; add delay or abort`],
    [
      fault('delay: {percentage: {value: 101}, fixedDelay: 1s}'),
      `${AT}.fault.delay.percentage.value: is 101; write a number from 0 to 100`,
    ],
    [fault('delay: {percentage: {value: 1}}'), `${AT}.fault.delay.fixedDelay: is missing; add fixedDelay, such as 5s`],
    [
      fault('delay: {percentage: {value: 1}, exponentialDelay: 1s}'),
      `${AT}.fault.delay.exponentialDelay: exponentialDelay is not supported by weir yet; remove it; until then the object is not applied`,
    ],
    [
      fault('abort: {percentage: {value: 1}, httpStatus: 99}'),
      `${AT}.fault.abort.httpStatus: is 99; write an integer from 200 to 599`,
    ],
    [
      fault('abort: {percentage: {value: 1}, grpcStatus: UNAVAILABEL}'),
      `${AT}.fault.abort.grpcStatus: is "UNAVAILABEL"; did you mean UNAVAILABLE?`,
    ],
    [
      fault('abort: {percentage: {value: 1}, grpcStatus: OK, httpStatus: 500}'),
      `${AT}.fault.abort.grpcStatus: stands beside httpStatus; keep one of them`,
    ],
    [withRoute('timeout: 5'), `${AT}.timeout: is the number 5, not text; put it in quotes: "5"`],
    [withRoute('timeout: "5"'), `${AT}.timeout: "5" has no unit; write 5s for seconds`],
    [withRoute('timeout: -1s'), `${AT}.timeout: "-1s" is negative; a duration is 0s or longer`],
    [
      withRoute('retries: {retryOn: 5xx}'),
      `${AT}.retries: has attempts 0 (none) and says how to retry; add attempts, or keep attempts: 0 alone`,
    ],
    [
      withRoute('retries: {attempts: 1, retryOn: "5xx,connect-falure"}'),
      `${AT}.retries.retryOn: "connect-falure" is no condition; did you mean connect-failure?`,
    ],
    [
      withRoute('mirrors: [{percentage: {value: 1}}]'),
      `${AT}.mirrors[0].destination: is missing; add destination with a host`,
    ],
    [
      withRoute('mirror: {host: a}, mirrorPercentage: {value: -1}'),
      `${AT}.mirrorPercentage.value: is -1; write a number from 0 to 100`,
    ],
    [
      withRoute('corsPolicy: {allowOrigins: [{}]}'),
      `${AT}.corsPolicy.allowOrigins[0]: allows no origin; add exact, prefix or regex`,
    ],
    [
      withRoute('corsPolicy: {allowMethods: [get]}'),
      `${AT}.corsPolicy.allowMethods[0]: "get" is not a method; write one of GET, HEAD, POST, PUT, DELETE, CONNECT, OPTIONS, TRACE, PATCH, *`,
    ],
    [withRoute('corsPolicy: {maxAge: 1.5s}'), `${AT}.corsPolicy.maxAge: is finer than a second; write whole seconds`],
  ]);
});

test('VirtualService: tls and tcp', () => {
  const tls = (match: string): string =>
    `{hosts: [a.com], tls: [{match: [${match}], route: [{destination: {host: a}}]}]}`;
  check('VirtualService', [
    [
      '{hosts: [a], tls: [{route: [{destination: {host: a}}]}]}',
      'spec.tls[0].match: is missing; add match with sniHosts',
    ],
    [tls('{port: 443}'), 'spec.tls[0].match[0].sniHosts: is missing; add the server names'],
    [
      tls('{sniHosts: [b.com]}'),
      'spec.tls[0].match[0].sniHosts[0]: "b.com" is within none of the hosts; write one of a.com, or a name below it',
    ],
    ['{hosts: [a], tcp: [{match: [{port: 1}]}]}', 'spec.tcp[0].route: is missing; add route with a destination'],
    [
      '{hosts: [a], tcp: [{match: [{destinationSubnets: [10.0.0.0/33]}], route: [{destination: {host: a}}]}]}',
      'spec.tcp[0].match[0].destinationSubnets[0]: is "10.0.0.0/33"; write an address or a block such as 10.0.0.0/8',
    ],
    [
      '{hosts: [a], tcp: [{match: [{sourceSubnet: 10.0.0.0/8}], route: [{destination: {host: a}}]}]}',
      'spec.tcp[0].match[0].sourceSubnet: sourceSubnet is not supported by weir yet; remove it; until then the object is not applied',
    ],
  ]);
});

test('DestinationRule', () => {
  const policy = (text: string): string => `{host: a, trafficPolicy: {${text}}}`;
  const at = 'spec.trafficPolicy';
  check('DestinationRule', [
    ['{subsets: []}', 'spec.host: is missing; add the host of a Service or ServiceEntry'],
    ['{host: a, subsets: [{name: v1}, {name: v1}]}', 'spec.subsets[1].name: "v1" is there already; write another name'],
    ['{host: a, subsets: [{labels: {a: b}}]}', 'spec.subsets[0].name: is missing; add name'],
    [
      '{host: a, workloadSelector: {matchLabels: {a: b}}, exportTo: ["*"]}',
      'spec.exportTo: goes beyond the namespace, and workloadSelector selects pods of it; write ["."]',
    ],
    [
      policy(''),
      `${at}: has no field; add one of loadBalancer, connectionPool, outlierDetection, tls, tunnel, proxyProtocol, retryBudget`,
    ],
    [
      policy('loadBalancer: {simple: ROUND_ROBBIN}'),
      `${at}.loadBalancer.simple: is "ROUND_ROBBIN"; did you mean ROUND_ROBIN?`,
    ],
    [
      policy('loadBalancer: {consistentHash: {}}'),
      `${at}.loadBalancer.consistentHash: names nothing to hash; write one of httpHeaderName, httpCookie, useSourceIp, httpQueryParameterName`,
    ],
    [
      policy('loadBalancer: {consistentHash: {useSourceIp: true, maglev: {tableSize: 100}}}'),
      `${at}.loadBalancer.consistentHash.maglev.tableSize: is 100; write a prime number, such as 65537`,
    ],
    [
      policy('loadBalancer: {localityLbSetting: {distribute: [{from: a, to: {b: 50}}]}}'),
      `${at}.loadBalancer.localityLbSetting.distribute[0].to: adds up to 50; the shares add up to 100`,
    ],
    [policy('connectionPool: {}'), `${at}.connectionPool: has no field; add tcp or http`],
    [
      policy('connectionPool: {tcp: {connectTimeout: 0s}}'),
      `${at}.connectionPool.tcp.connectTimeout: is "0s"; write 1ms or more, or remove connectTimeout`,
    ],
    [
      policy('outlierDetection: {maxEjectionPercent: 101}'),
      `${at}.outlierDetection.maxEjectionPercent: is 101; write an integer from 0 to 100`,
    ],
    [
      policy('outlierDetection: {consecutiveLocalOriginFailures: 1}'),
      `${at}.outlierDetection.consecutiveLocalOriginFailures: is not counted apart; add splitExternalLocalOriginErrors: true`,
    ],
    [policy('tls: {mode: MUTUAL}'), `${at}.tls.clientCertificate: is missing; add clientCertificate or credentialName`],
    [
      policy('tls: {mode: ISTIO_MUTUAL, privateKey: /a}'),
      `${at}.tls.privateKey: does not belong to ISTIO_MUTUAL; remove privateKey`,
    ],
    [
      policy('tunnel: {targetHost: a, targetPort: 0}'),
      `${at}.tunnel.targetPort: is 0; write an integer from 1 to 65535`,
    ],
    [
      policy('portLevelSettings: [{loadBalancer: {simple: RANDOM}}]'),
      `${at}.portLevelSettings[0].port: is missing; add port: {number: …}`,
    ],
  ]);
});

test('ServiceEntry and WorkloadEntry', () => {
  const entry = (text: string, ports = 'ports: [{number: 80, name: http, protocol: HTTP}]'): string =>
    `{${text}, ${ports}}`;
  check('ServiceEntry', [
    [entry('addresses: [10.0.0.1]'), 'spec.hosts: is missing; add at least one host'],
    [entry('hosts: ["*"]'), 'spec.hosts[0]: "*" is every host; name the hosts'],
    [
      entry('hosts: [api]'),
      'spec.hosts[0]: "api" has no dot, and cannot be told from a Service; write it with a dot, such as api.internal',
    ],
    [
      entry('hosts: [a.com], addresses: [x]'),
      'spec.addresses[0]: is "x"; write an address or a block such as 10.0.0.0/8',
    ],
    [
      entry('hosts: [a.com], addresses: [10.0.0.0/8], resolution: DNS'),
      'spec.addresses[0]: is a block, and resolution is DNS; write an address, or resolution NONE or STATIC',
    ],
    [
      entry('hosts: ["*.a.com"], resolution: DNS'),
      'spec.hosts[0]: is a wildcard, which resolution DNS cannot resolve; write resolution NONE, or add endpoints',
    ],
    [
      entry('hosts: ["*.a.com"], resolution: DYNAMIC_DNS'),
      'spec.hosts[0]: is a wildcard, and names are not looked up request by request; write each host, or resolution NONE',
    ],
    [
      entry(
        `hosts: [${Array.from({ length: 256 }, (_, i) => `h${i}.a.com`).join(', ')}], resolution: STATIC, endpoints: [${'{address: 10.0.0.1}, '.repeat(257)}]`,
      ),
      'spec.endpoints: has 257 for 256 hosts, and hosts times endpoints may be 65536; write several ServiceEntries, each with a part of the hosts',
    ],
    [
      entry('hosts: ["*.a.com"], resolution: STATIC'),
      'spec.hosts[0]: is a wildcard without endpoints, so resolution STATIC leads nowhere; write resolution NONE, or add endpoints',
    ],
    [
      entry('hosts: [a.com], endpoints: [{address: 10.0.0.1}]'),
      'spec.endpoints: do not belong to resolution NONE; write resolution STATIC or DNS, or remove endpoints',
    ],
    [
      entry('hosts: [a.com], resolution: STATIC, endpoints: [{address: b.com}]'),
      'spec.endpoints[0].address: "b.com" is not an IP address; write an IP address, or resolution: DNS',
    ],
    [
      entry('hosts: [a.com], resolution: STATIC, endpoints: [{address: 10.0.0.1, ports: {web: 81}}]'),
      'spec.endpoints[0].ports.web: there is no port "web"; write one of http',
    ],
    [
      entry('hosts: [a.com], resolution: DNS_ROUND_ROBIN, endpoints: [{address: b.com}, {address: c.com}]'),
      'spec.endpoints: has 2 elements, and DNS_ROUND_ROBIN takes one; keep one, or write resolution DNS',
    ],
    [
      entry('hosts: [a.com], resolution: STATIC, workloadSelector: {labels: {a: b}}, endpoints: [{address: 10.0.0.1}]'),
      'spec.endpoints: stands beside workloadSelector; keep one of them',
    ],
    [
      entry(
        'hosts: [a.com, b.com], resolution: STATIC, endpoints: [{address: 10.0.0.1}]',
        'ports: [{number: 1, name: tcp, protocol: TCP}]',
      ),
      'spec.hosts: has 2 hosts, which clients of the port tcp cannot tell apart; declare it HTTP or TLS, or write one ServiceEntry per host',
    ],
    [
      entry('hosts: [a.com]', 'ports: [{number: 80, name: a}, {number: 80, name: b}]'),
      'spec.ports[1].number: is there already; a port has its own number and name',
    ],
    [
      entry('hosts: [a.com]', 'ports: [{number: 80, name: a, protocol: HTPP}]'),
      'spec.ports[0].protocol: is "HTPP"; did you mean HTTP?',
    ],
    [
      entry('hosts: [a.com], exportTo: ["~", b]'),
      'spec.exportTo: says "~" (nobody) beside namespaces; keep "~" or the namespaces',
    ],
  ]);
  check('WorkloadEntry', [
    ['{labels: {a: b}}', 'spec.address: is missing; add the address of the workload'],
    ['{address: "unix:///a"}', 'spec.address: a unix socket is nothing that pods share; write an IP address'],
    ['{address: 10.0.0.1, ports: {http: 0}}', 'spec.ports.http: is 0; write an integer from 1 to 65535'],
    [
      '{address: 10.0.0.1, locality: a//b}',
      'spec.locality: is "a//b"; write region, region/zone or region/zone/subzone',
    ],
  ]);
});

test('Sidecar', () => {
  check('Sidecar', [
    ['{}', 'spec: has no field; add egress or outboundTrafficPolicy'],
    ['{egress: [{}]}', 'spec.egress[0].hosts: is missing; add hosts, such as "./*"'],
    [
      '{egress: [{hosts: [a]}]}',
      'spec.egress[0].hosts[0]: is "a"; write namespace/host, such as "./*", "prod/*.prod.svc.cluster.local" or "~/*"',
    ],
    [
      '{egress: [{hosts: ["./*"]}, {hosts: ["./*"]}]}',
      'spec.egress[0]: has no port, so those below it are never asked; move it to the end',
    ],
    [
      '{egress: [{port: {number: 1}, hosts: ["./*"]}, {port: {number: 1}, hosts: ["./*"]}]}',
      'spec.egress[1].port: 1 is listed twice; join the two',
    ],
    [
      '{egress: [{port: {name: a}, hosts: ["./*"]}]}',
      'spec.egress[0].port.number: is missing; add its number; unix sockets are not supported by weir',
    ],
    [
      '{outboundTrafficPolicy: {mode: NONE}}',
      'spec.outboundTrafficPolicy.mode: is "NONE"; write one of REGISTRY_ONLY, ALLOW_ANY',
    ],
  ]);
});
