#ifndef ACTIONCLUSTER_BACKPLANE_DOMAIN_NODE_REF_H_
#define ACTIONCLUSTER_BACKPLANE_DOMAIN_NODE_REF_H_

#include <compare>
#include <string>

namespace actioncluster {

// One life of a node: its name, and the boot that tells this life from the one before.
struct NodeRef {
  std::string id;    // `actioncluster-worker-1`
  std::string boot;  // 16 hexadecimal digits.

  friend auto operator<=>(const NodeRef&, const NodeRef&) = default;
};

// 16 hexadecimal digits from the system's random source. Any thread.
std::string RandomBootId();

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_BACKPLANE_DOMAIN_NODE_REF_H_
