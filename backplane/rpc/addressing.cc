#include "backplane/rpc/addressing.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "backplane/domain/error.h"

namespace actioncluster {
namespace {

absl::StatusOr<Addressees> OnlyNode(const internal::v1::NodeRecord& node, absl::string_view method) {
  if (!Offers(node, method)) {
    return MakeError(v1::ERROR_REASON_METHOD_NOT_FOUND,
                     absl::StrCat("node ", node.id(), " does not offer the method ", method));
  }
  return Addressees{.nodes = {{node.id(), node.boot_id()}}, .fallbacks = {}};
}

// This node first, if it is among them, then the others by chance.
void PutInOrder(std::vector<NodeRef>& nodes, const NodeRef& self, absl::BitGenRef random) {
  std::shuffle(nodes.begin(), nodes.end(), random);
  const auto own =
      std::find_if(nodes.begin(), nodes.end(), [&](const NodeRef& node) { return node.boot == self.boot; });
  if (own != nodes.end()) std::swap(*own, nodes.front());
}

}  // namespace

absl::StatusOr<Addressees> FindAddressees(const Directory& directory, absl::string_view method,
                                          const CallTarget& target, const NodeRef& self, absl::string_view holder,
                                          absl::BitGenRef random) {
  if (const auto* one = std::get_if<OneNode>(&target)) {
    const internal::v1::NodeRecord* node = directory.FindNode(one->node_id);
    if (node != nullptr) return OnlyNode(*node, method);
    return MakeError(v1::ERROR_REASON_NODE_NOT_FOUND, absl::StrCat("no live node is called ", one->node_id));
  }
  if (const auto* at = std::get_if<NodeOfConnection>(&target)) {
    const internal::v1::NodeRecord* node = holder.empty() ? nullptr : directory.FindBoot(holder);
    if (node != nullptr) return OnlyNode(*node, method);
    return MakeError(v1::ERROR_REASON_CONNECTION_NOT_FOUND,
                     absl::StrCat("no live node holds the connection ", at->connection_id));
  }
  std::vector<NodeRef> offering = directory.Offering(method);
  std::vector<NodeRef> draining = directory.OfferingWhileDraining(method);
  if (offering.empty() && draining.empty()) {
    return MakeError(v1::ERROR_REASON_METHOD_NOT_FOUND, absl::StrCat("no live node offers the method ", method));
  }
  if (std::holds_alternative<AllNodes>(target)) {
    return Addressees{.nodes = std::move(offering.empty() ? draining : offering), .fallbacks = {}};
  }
  PutInOrder(offering, self, random);
  PutInOrder(draining, self, random);
  offering.insert(offering.end(), draining.begin(), draining.end());
  return Addressees{.nodes = {std::move(offering.front())}, .fallbacks = {offering.begin() + 1, offering.end()}};
}

bool Offers(const internal::v1::NodeRecord& node, absl::string_view method) {
  if (IsNodeMethod(method)) return true;
  return std::find(node.methods().begin(), node.methods().end(), method) != node.methods().end();
}

}  // namespace actioncluster
