#ifndef ACTIONCLUSTER_CLIENT_SERVICE_CONFIG_H_
#define ACTIONCLUSTER_CLIENT_SERVICE_CONFIG_H_

namespace actioncluster::client {

// What gRPC may repeat by itself: proto/actioncluster/v1/service_config.json, which is for clients in all languages.
extern const char kServiceConfig[];

}  // namespace actioncluster::client

#endif  // ACTIONCLUSTER_CLIENT_SERVICE_CONFIG_H_
