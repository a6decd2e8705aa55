#include "server/services/room_roster.h"

#include <utility>

namespace actioncluster {

void RoomRoster::Begin() {
  reading_ = true;
  members_.clear();
  heard_.clear();
  gone_.clear();
}

void RoomRoster::Read(std::vector<Member> members) {
  for (Member& member : members) {
    std::string id = member.connection_id();
    members_.insert_or_assign(std::move(id), std::move(member));
  }
}

void RoomRoster::Complete(absl::FunctionRef<bool(absl::string_view boot)> lives) {
  reading_ = false;
  for (auto member = members_.begin(); member != members_.end();) {
    member = lives(member->second.boot_id()) ? std::next(member) : members_.erase(member);
  }
  for (internal::v1::RoomChange& change : std::exchange(heard_, {})) Apply(std::move(change));
  for (const std::string& boot : std::exchange(gone_, {})) BootGone(boot);
}

std::vector<RoomRoster::Member> RoomRoster::Apply(internal::v1::RoomChange change) {
  std::vector<Member> news;
  if (reading_) {
    heard_.push_back(std::move(change));
    return news;
  }
  for (Member& member : *change.mutable_members()) {
    const auto known = members_.find(member.connection_id());
    if (change.kind() == internal::v1::RoomChange::KIND_JOINED) {
      // It was read already.
      if (known != members_.end() && known->second.boot_id() == member.boot_id() &&
          known->second.joined_at_us() == member.joined_at_us()) {
        continue;
      }
      members_.insert_or_assign(member.connection_id(), member);
      news.push_back(std::move(member));
    } else if (known != members_.end() && known->second.boot_id() == member.boot_id()) {
      news.push_back(std::move(known->second));
      members_.erase(known);
    }
  }
  return news;
}

std::vector<RoomRoster::Member> RoomRoster::BootGone(const std::string& boot) {
  std::vector<Member> news;
  if (reading_) {
    gone_.insert(boot);
    return news;
  }
  for (auto member = members_.begin(); member != members_.end();) {
    if (member->second.boot_id() == boot) {
      news.push_back(std::move(member->second));
      member = members_.erase(member);
    } else {
      ++member;
    }
  }
  return news;
}

}  // namespace actioncluster
