// Generated from mesh/wire/proto/*.proto: UPDATE_SCHEMA=1 node --import tsx --test test/unit/wire/schema.test.ts

/** The schemas of mesh/wire/proto as data, so that reading them needs no file and no parser. */
export const schema: unknown = {
  nested: {
    envoy: {
      nested: {
        config: {
          nested: {
            core: {
              nested: {
                v3: {
                  nested: {
                    Node: {
                      fields: {
                        id: { type: 'string', id: 1 },
                        cluster: { type: 'string', id: 2 },
                        userAgentName: { type: 'string', id: 6 },
                        userAgentVersion: { type: 'string', id: 7 },
                      },
                    },
                    ControlPlane: { fields: { identifier: { type: 'string', id: 1 } } },
                  },
                },
              },
            },
          },
        },
        service: {
          nested: {
            discovery: {
              nested: {
                v3: {
                  nested: {
                    AggregatedDiscoveryService: {
                      methods: {
                        DeltaAggregatedResources: {
                          requestType: 'DeltaDiscoveryRequest',
                          requestStream: true,
                          responseType: 'DeltaDiscoveryResponse',
                          responseStream: true,
                        },
                      },
                    },
                    DeltaDiscoveryRequest: {
                      fields: {
                        node: { type: 'config.core.v3.Node', id: 1 },
                        typeUrl: { type: 'string', id: 2 },
                        resourceNamesSubscribe: { rule: 'repeated', type: 'string', id: 3 },
                        resourceNamesUnsubscribe: { rule: 'repeated', type: 'string', id: 4 },
                        initialResourceVersions: { keyType: 'string', type: 'string', id: 5 },
                        responseNonce: { type: 'string', id: 6 },
                        errorDetail: { type: 'google.rpc.Status', id: 7 },
                      },
                    },
                    DeltaDiscoveryResponse: {
                      fields: {
                        systemVersionInfo: { type: 'string', id: 1 },
                        resources: { rule: 'repeated', type: 'Resource', id: 2 },
                        typeUrl: { type: 'string', id: 4 },
                        nonce: { type: 'string', id: 5 },
                        removedResources: { rule: 'repeated', type: 'string', id: 6 },
                        controlPlane: { type: 'config.core.v3.ControlPlane', id: 7 },
                      },
                    },
                    Resource: {
                      fields: {
                        version: { type: 'string', id: 1 },
                        resource: { type: 'google.protobuf.Any', id: 2 },
                        name: { type: 'string', id: 3 },
                        aliases: { rule: 'repeated', type: 'string', id: 4 },
                      },
                    },
                  },
                },
              },
            },
          },
        },
      },
    },
    weir: {
      nested: {
        mesh: {
          nested: {
            v1: {
              nested: {
                WorkloadExtension: {
                  fields: {
                    labels: { keyType: 'string', type: 'string', id: 1 },
                    annotations: { keyType: 'string', type: 'string', id: 2 },
                  },
                },
                ServiceExtension: { fields: { ports: { rule: 'repeated', type: 'ServicePort', id: 1 } } },
                ServicePort: {
                  fields: {
                    port: { type: 'uint32', id: 1 },
                    name: { type: 'string', id: 2 },
                    protocol: { type: 'PortProtocol', id: 3 },
                  },
                },
                PortProtocol: {
                  values: { PORT_PROTOCOL_UNSPECIFIED: 0, HTTP: 1, TCP: 2, DETECT: 3, HTTP2: 4, GRPC: 5, TLS: 6 },
                },
                HttpRoute: {
                  fields: {
                    namespace: { type: 'string', id: 1 },
                    name: { type: 'string', id: 2 },
                    createdMs: { type: 'int64', id: 3 },
                    parents: { rule: 'repeated', type: 'HttpRouteParent', id: 4 },
                    rules: { rule: 'repeated', type: 'HttpRouteRule', id: 5 },
                  },
                },
                HttpRouteParent: {
                  fields: {
                    namespace: { type: 'string', id: 1 },
                    name: { type: 'string', id: 2 },
                    port: { type: 'uint32', id: 3 },
                  },
                },
                HttpRouteRule: {
                  fields: {
                    name: { type: 'string', id: 1 },
                    matches: { rule: 'repeated', type: 'HttpRouteMatch', id: 2 },
                    filters: { rule: 'repeated', type: 'HeaderModifier', id: 3 },
                    backends: { rule: 'repeated', type: 'HttpRouteBackend', id: 4 },
                  },
                },
                HttpRouteMatch: {
                  fields: {
                    path: { type: 'PathMatch', id: 1 },
                    method: { type: 'string', id: 2 },
                    headers: { rule: 'repeated', type: 'ValueMatch', id: 3 },
                    queryParams: { rule: 'repeated', type: 'ValueMatch', id: 4 },
                  },
                },
                PathMatch: { fields: { type: { type: 'PathMatchType', id: 1 }, value: { type: 'string', id: 2 } } },
                PathMatchType: { values: { PATH_MATCH_UNSPECIFIED: 0, PATH_EXACT: 1, PATH_PREFIX: 2 } },
                ValueMatch: {
                  fields: {
                    type: { type: 'ValueMatchType', id: 1 },
                    name: { type: 'string', id: 2 },
                    value: { type: 'string', id: 3 },
                  },
                },
                ValueMatchType: { values: { VALUE_MATCH_UNSPECIFIED: 0, VALUE_EXACT: 1, VALUE_REGEX: 2 } },
                HeaderModifier: {
                  fields: {
                    type: { type: 'HeaderModifierType', id: 1 },
                    set: { rule: 'repeated', type: 'NameValue', id: 2 },
                    add: { rule: 'repeated', type: 'NameValue', id: 3 },
                    remove: { rule: 'repeated', type: 'string', id: 4 },
                  },
                },
                HeaderModifierType: { values: { HEADER_MODIFIER_UNSPECIFIED: 0, REQUEST: 1, RESPONSE: 2 } },
                NameValue: { fields: { name: { type: 'string', id: 1 }, value: { type: 'string', id: 2 } } },
                HttpRouteBackend: {
                  fields: {
                    namespace: { type: 'string', id: 1 },
                    name: { type: 'string', id: 2 },
                    port: { type: 'uint32', id: 3 },
                    weight: { type: 'uint32', id: 4 },
                    filters: { rule: 'repeated', type: 'HeaderModifier', id: 5 },
                    valid: { type: 'bool', id: 6 },
                  },
                },
                StreamBackend: {
                  fields: {
                    namespace: { type: 'string', id: 1 },
                    name: { type: 'string', id: 2 },
                    port: { type: 'uint32', id: 3 },
                    weight: { type: 'uint32', id: 4 },
                    valid: { type: 'bool', id: 5 },
                  },
                },
                TlsRoute: {
                  fields: {
                    namespace: { type: 'string', id: 1 },
                    name: { type: 'string', id: 2 },
                    createdMs: { type: 'int64', id: 3 },
                    parents: { rule: 'repeated', type: 'HttpRouteParent', id: 4 },
                    hostnames: { rule: 'repeated', type: 'string', id: 5 },
                    backends: { rule: 'repeated', type: 'StreamBackend', id: 6 },
                  },
                },
                TcpRoute: {
                  fields: {
                    namespace: { type: 'string', id: 1 },
                    name: { type: 'string', id: 2 },
                    createdMs: { type: 'int64', id: 3 },
                    parents: { rule: 'repeated', type: 'HttpRouteParent', id: 4 },
                    backends: { rule: 'repeated', type: 'StreamBackend', id: 5 },
                  },
                },
                AuthorizationPolicy: {
                  fields: {
                    namespace: { type: 'string', id: 1 },
                    name: { type: 'string', id: 2 },
                    action: { type: 'PolicyAction', id: 3 },
                    meshWide: { type: 'bool', id: 4 },
                    selector: { type: 'LabelSelector', id: 5 },
                    targetServices: { rule: 'repeated', type: 'string', id: 6 },
                    rules: { rule: 'repeated', type: 'PolicyRule', id: 7 },
                  },
                },
                PolicyAction: { values: { POLICY_ACTION_UNSPECIFIED: 0, ALLOW: 1, DENY: 2 } },
                LabelSelector: { fields: { matchLabels: { keyType: 'string', type: 'string', id: 1 } } },
                PolicyRule: {
                  fields: {
                    from: { rule: 'repeated', type: 'PolicySource', id: 1 },
                    to: { rule: 'repeated', type: 'PolicyOperation', id: 2 },
                    when: { rule: 'repeated', type: 'PolicyCondition', id: 3 },
                  },
                },
                PolicyCondition: {
                  fields: {
                    key: { type: 'PolicyConditionKey', id: 1 },
                    values: { rule: 'repeated', type: 'string', id: 2 },
                    notValues: { rule: 'repeated', type: 'string', id: 3 },
                  },
                },
                PolicyConditionKey: {
                  values: { POLICY_CONDITION_KEY_UNSPECIFIED: 0, CONNECTION_SNI: 1, REMOTE_IP: 2 },
                },
                PolicySource: {
                  fields: {
                    principals: { rule: 'repeated', type: 'string', id: 1 },
                    notPrincipals: { rule: 'repeated', type: 'string', id: 2 },
                    namespaces: { rule: 'repeated', type: 'string', id: 3 },
                    notNamespaces: { rule: 'repeated', type: 'string', id: 4 },
                    serviceAccounts: { rule: 'repeated', type: 'string', id: 5 },
                    notServiceAccounts: { rule: 'repeated', type: 'string', id: 6 },
                    ipBlocks: { rule: 'repeated', type: 'string', id: 7 },
                    notIpBlocks: { rule: 'repeated', type: 'string', id: 8 },
                    remoteIpBlocks: { rule: 'repeated', type: 'string', id: 9 },
                    notRemoteIpBlocks: { rule: 'repeated', type: 'string', id: 10 },
                  },
                },
                PolicyOperation: {
                  fields: {
                    hosts: { rule: 'repeated', type: 'string', id: 1 },
                    notHosts: { rule: 'repeated', type: 'string', id: 2 },
                    ports: { rule: 'repeated', type: 'uint32', id: 3 },
                    notPorts: { rule: 'repeated', type: 'uint32', id: 4 },
                    methods: { rule: 'repeated', type: 'string', id: 5 },
                    notMethods: { rule: 'repeated', type: 'string', id: 6 },
                    paths: { rule: 'repeated', type: 'string', id: 7 },
                    notPaths: { rule: 'repeated', type: 'string', id: 8 },
                  },
                },
                MeshSettings: {
                  fields: {
                    namespace: { type: 'string', id: 1 },
                    name: { type: 'string', id: 2 },
                    metrics: { type: 'bool', id: 3 },
                    accessLog: { type: 'bool', id: 4 },
                    bypass: { type: 'bool', id: 5 },
                  },
                },
                RejectedResource: { fields: { name: { type: 'string', id: 1 }, error: { type: 'string', id: 2 } } },
              },
            },
          },
        },
      },
    },
    istio: {
      nested: {
        workload: {
          nested: {
            Address: {
              oneofs: { type: { oneof: ['workload', 'service'] } },
              fields: { workload: { type: 'Workload', id: 1 }, service: { type: 'Service', id: 2 } },
            },
            Service: {
              fields: {
                name: { type: 'string', id: 1 },
                namespace: { type: 'string', id: 2 },
                hostname: { type: 'string', id: 3 },
                addresses: { rule: 'repeated', type: 'NetworkAddress', id: 4 },
                ports: { rule: 'repeated', type: 'Port', id: 5 },
                extensions: { rule: 'repeated', type: 'Extension', id: 10 },
              },
            },
            Workload: {
              fields: {
                name: { type: 'string', id: 1 },
                namespace: { type: 'string', id: 2 },
                addresses: { rule: 'repeated', type: 'bytes', id: 3 },
                serviceAccount: { type: 'string', id: 7 },
                node: { type: 'string', id: 9 },
                canonicalName: { type: 'string', id: 10 },
                canonicalRevision: { type: 'string', id: 11 },
                workloadName: { type: 'string', id: 13 },
                status: { type: 'WorkloadStatus', id: 17 },
                uid: { type: 'string', id: 20 },
                services: { keyType: 'string', type: 'PortList', id: 22 },
                networkMode: { type: 'NetworkMode', id: 25 },
                extensions: { rule: 'repeated', type: 'Extension', id: 26 },
              },
            },
            NetworkMode: { values: { STANDARD: 0, HOST_NETWORK: 1 } },
            WorkloadStatus: { values: { HEALTHY: 0, UNHEALTHY: 1 } },
            PortList: { fields: { ports: { rule: 'repeated', type: 'Port', id: 1 } } },
            Port: { fields: { servicePort: { type: 'uint32', id: 1 }, targetPort: { type: 'uint32', id: 2 } } },
            NetworkAddress: { fields: { network: { type: 'string', id: 1 }, address: { type: 'bytes', id: 2 } } },
            Extension: { fields: { name: { type: 'string', id: 1 }, config: { type: 'google.protobuf.Any', id: 2 } } },
          },
        },
      },
    },
    google: {
      nested: {
        protobuf: {
          nested: { Any: { fields: { type_url: { type: 'string', id: 1 }, value: { type: 'bytes', id: 2 } } } },
        },
        rpc: {
          nested: {
            Status: {
              fields: {
                code: { type: 'int32', id: 1 },
                message: { type: 'string', id: 2 },
                details: { rule: 'repeated', type: 'google.protobuf.Any', id: 3 },
              },
            },
          },
        },
      },
    },
  },
};
