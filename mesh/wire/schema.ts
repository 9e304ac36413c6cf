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
                    namedPorts: { keyType: 'string', type: 'uint32', id: 3 },
                    locality: { type: 'string', id: 4 },
                  },
                },
                ServiceExtension: {
                  fields: {
                    ports: { rule: 'repeated', type: 'ServicePort', id: 1 },
                    internalTrafficPolicy: { type: 'InternalTrafficPolicy', id: 2 },
                    trafficDistribution: { type: 'TrafficDistribution', id: 3 },
                    externalName: { type: 'string', id: 4 },
                  },
                },
                InternalTrafficPolicy: { values: { CLUSTER: 0, LOCAL: 1 } },
                TrafficDistribution: { values: { ALL_ALIKE: 0, PREFER_SAME_ZONE: 1, PREFER_SAME_NODE: 2 } },
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
                AuthorizationPolicy: { fields: { json: { type: 'string', id: 1 } } },
                PeerAuthentication: { fields: { json: { type: 'string', id: 1 } } },
                RequestAuthentication: { fields: { json: { type: 'string', id: 1 } } },
                NetworkPolicy: { fields: { json: { type: 'string', id: 1 } } },
                ServiceEntry: { fields: { json: { type: 'string', id: 1 } } },
                DestinationRule: { fields: { json: { type: 'string', id: 1 } } },
                HttpRoute: { fields: { json: { type: 'string', id: 1 } } },
                TlsRoute: { fields: { json: { type: 'string', id: 1 } } },
                TcpRoute: { fields: { json: { type: 'string', id: 1 } } },
                SidecarScope: { fields: { json: { type: 'string', id: 1 } } },
                MeshSettings: { fields: { json: { type: 'string', id: 1 } } },
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
