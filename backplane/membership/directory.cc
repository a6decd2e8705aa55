#include "backplane/membership/directory.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"

namespace actioncluster {
namespace {

using internal::v1::DirectoryChange;
using internal::v1::NodeRecord;

bool Complete(const NodeRecord& node) { return !node.id().empty() && !node.boot_id().empty(); }

// How one boot's record differs from before.
void Compare(const NodeRecord& before, const NodeRecord& after, std::vector<NodeEvent>* events) {
  if (after.draining() && !before.draining()) events->push_back({NodeEvent::Kind::kDraining, after});
  NodeRecord drained = before;
  if (after.draining()) drained.set_draining(true);
  if (drained.SerializeAsString() != after.SerializeAsString()) events->push_back({NodeEvent::Kind::kUpdated, after});
}

}  // namespace

bool IsNodeMethod(absl::string_view method) { return absl::StartsWith(method, "node."); }

std::vector<NodeEvent> Directory::Replace(int64_t generation, std::vector<NodeRecord> nodes) {
  generation_ = generation;
  absl::btree_map<std::string, NodeRecord> wanted;
  for (NodeRecord& node : nodes) {
    if (!Complete(node)) continue;
    const auto found = wanted.find(node.id());
    if (found != wanted.end() && found->second.started_at_us() > node.started_at_us()) continue;
    std::string name = node.id();
    wanted.insert_or_assign(std::move(name), std::move(node));
  }

  std::vector<NodeEvent> events;
  std::vector<std::string> gone;
  for (const auto& [name, node] : nodes_) {
    const auto found = wanted.find(name);
    if (found == wanted.end() || found->second.boot_id() != node.boot_id()) gone.push_back(name);
  }
  for (const std::string& name : gone) {
    const bool left = left_ahead_.contains(nodes_.at(name).boot_id());
    events.push_back({left ? NodeEvent::Kind::kLeft : NodeEvent::Kind::kLost, Remove(name)});
  }
  left_ahead_.clear();
  for (auto& [name, node] : wanted) Put(std::move(node), &events);
  return events;
}

Directory::Applied Directory::Apply(const DirectoryChange& change, std::vector<NodeEvent>* events) {
  if (generation_ < 0) return Applied::kGap;
  if (change.generation() <= generation_) return Applied::kKnown;
  if (change.generation() - 1 != generation_) {
    if (change.kind() == DirectoryChange::KIND_LEFT && FindBoot(change.node().boot_id()) != nullptr) {
      left_ahead_.insert(change.node().boot_id());
    }
    return Applied::kGap;
  }

  const NodeRecord& node = change.node();
  switch (change.kind()) {
    case DirectoryChange::KIND_JOINED:
      if (!Complete(node)) return Applied::kGap;
      Put(node, events);
      break;
    case DirectoryChange::KIND_UPDATED: {
      const NodeRecord* known = FindBoot(node.boot_id());
      if (known == nullptr || known->id() != node.id()) return Applied::kGap;
      Put(node, events);
      break;
    }
    case DirectoryChange::KIND_LEFT:
    case DirectoryChange::KIND_LOST: {
      const bool left = change.kind() == DirectoryChange::KIND_LEFT;
      const auto name = name_of_boot_.find(node.boot_id());
      if (name == name_of_boot_.end()) break;
      events->push_back({left ? NodeEvent::Kind::kLeft : NodeEvent::Kind::kLost, Remove(std::string(name->second))});
      break;
    }
    default:
      return Applied::kGap;
  }
  generation_ = change.generation();
  return Applied::kYes;
}

const NodeRecord* Directory::FindNode(absl::string_view node_id) const {
  const auto found = nodes_.find(node_id);
  return found == nodes_.end() ? nullptr : &found->second;
}

const NodeRecord* Directory::FindBoot(absl::string_view boot_id) const {
  const auto name = name_of_boot_.find(boot_id);
  return name == name_of_boot_.end() ? nullptr : FindNode(name->second);
}

std::vector<NodeRef> Directory::Offering(absl::string_view method) const {
  std::vector<NodeRef> refs;
  if (IsNodeMethod(method)) {
    for (const auto& [name, node] : nodes_) refs.push_back({name, node.boot_id()});
    return refs;
  }
  const auto offering = offering_.find(method);
  if (offering == offering_.end()) return refs;
  for (const std::string& name : offering->second) refs.push_back({name, nodes_.at(name).boot_id()});
  return refs;
}

std::vector<NodeRef> Directory::OfferingWhileDraining(absl::string_view method) const {
  std::vector<NodeRef> refs;
  if (IsNodeMethod(method)) return refs;
  for (const std::string& name : draining_) {
    const NodeRecord& node = nodes_.at(name);
    const bool offers = std::find(node.methods().begin(), node.methods().end(), method) != node.methods().end();
    if (offers) refs.push_back({name, node.boot_id()});
  }
  return refs;
}

std::map<std::string, std::set<std::string>> Directory::Methods() const { return {offering_.begin(), offering_.end()}; }

void Directory::Insert(NodeRecord node) {
  name_of_boot_[node.boot_id()] = node.id();
  if (node.draining()) {
    draining_.insert(node.id());
  } else {
    for (const std::string& method : node.methods()) {
      if (!IsNodeMethod(method)) offering_[method].insert(node.id());
    }
  }
  std::string name = node.id();
  nodes_.insert_or_assign(std::move(name), std::move(node));
}

NodeRecord Directory::Remove(const std::string& name) {
  const auto found = nodes_.find(name);
  NodeRecord node = std::move(found->second);
  nodes_.erase(found);
  name_of_boot_.erase(node.boot_id());
  draining_.erase(name);
  for (const std::string& method : node.methods()) {
    const auto offering = offering_.find(method);
    if (offering == offering_.end()) continue;
    offering->second.erase(name);
    if (offering->second.empty()) offering_.erase(offering);
  }
  return node;
}

void Directory::Put(NodeRecord node, std::vector<NodeEvent>* events) {
  const NodeRecord* same_boot = FindBoot(node.boot_id());
  const bool known = same_boot != nullptr;
  const NodeRecord before = known ? Remove(std::string(same_boot->id())) : NodeRecord();
  // A name that passes on: its former holder can only be dead.
  if (nodes_.contains(node.id())) events->push_back({NodeEvent::Kind::kLost, Remove(node.id())});
  if (known) {
    Compare(before, node, events);
  } else {
    events->push_back({NodeEvent::Kind::kJoined, node});
  }
  Insert(std::move(node));
}

}  // namespace actioncluster
