#ifndef ACTIONCLUSTER_BACKPLANE_RPC_ADDRESSING_H_
#define ACTIONCLUSTER_BACKPLANE_RPC_ADDRESSING_H_

#include <deque>
#include <string>
#include <vector>

#include "absl/random/bit_gen_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "actioncluster/internal/v1/records.pb.h"
#include "backplane/domain/node_ref.h"
#include "backplane/membership/directory.h"
#include "backplane/rpc/call.h"

// Who is asked when a call is made, by what the directory knows. Pure functions.
namespace actioncluster {

struct Addressees {
  std::vector<NodeRef> nodes;     // Asked at once; not empty.
  std::deque<NodeRef> fallbacks;  // Asked one after the other, while those before them will not.
};

// METHOD_NOT_FOUND, NODE_NOT_FOUND or CONNECTION_NOT_FOUND when the directory has nobody: before this is told to
// anybody, the directory must be refreshed and asked again. `holder` is the boot that holds the connection, if the
// target is one. AnyNode is the node `self` if it offers the method, then the others in random order, then those that drain, likewise; AllNodes asks those that
// drain only if there are no others.
absl::StatusOr<Addressees> FindAddressees(const Directory& directory, absl::string_view method,
                                          const CallTarget& target, const NodeRef& self, absl::string_view holder,
                                          absl::BitGenRef random);

// The node answers calls of the method: it offers it, or it is every node's own.
bool Offers(const internal::v1::NodeRecord& node, absl::string_view method);

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_BACKPLANE_RPC_ADDRESSING_H_
