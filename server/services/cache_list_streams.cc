#include "server/services/cache_list_streams.h"

#include <memory>

#include "server/grpc/time_proto.h"

namespace actioncluster {

void KeyStream::Find() {
  keys_.clear();
  if (!walk_.has_value()) walk_.emplace(loop(), scan_, CacheKind::kValue, prefix_, CacheWalk::kPassesOn);
  if (walk_->done()) return End(absl::OkStatus());
  walk_->Next([this, self = shared_from_this()](absl::StatusOr<std::vector<std::string>> keys) {
    if (!keys.ok()) return End(keys.status());
    keys_ = *std::move(keys);
    Found(0);
  });
}

bool KeyStream::Make(v1::ListKeysResponse* frame, bool*) {
  if (keys_.empty()) return false;
  frame->mutable_keys()->Reserve(static_cast<int>(keys_.size()));
  for (std::string& key : keys_) frame->add_keys(std::move(key));
  keys_.clear();
  return true;
}

void LockStream::Find() {
  locks_.clear();
  next_ = 0;
  if (!walk_.has_value()) walk_.emplace(loop(), scan_, CacheKind::kLock, prefix_, CacheWalk::kPassesOn);
  if (walk_->done()) return End(absl::OkStatus());
  walk_->Next([this, self = shared_from_this()](absl::StatusOr<std::vector<std::string>> keys) {
    if (!keys.ok()) return End(keys.status());
    if (keys->empty()) return Found(0);
    Read(*std::move(keys));
  });
}

void LockStream::Read(std::vector<std::string> keys) {
  scan_.ReadLocks(keys, [this, self = shared_from_this(),
                         keys](absl::StatusOr<std::vector<std::optional<HeldLock>>> locks) mutable {
    if (!locks.ok()) return End(locks.status());
    locks_.reserve(locks->size());
    for (size_t i = 0; i < locks->size(); ++i) {
      if ((*locks)[i].has_value()) locks_.emplace_back(std::move(keys[i]), *std::move((*locks)[i]));
    }
    Found(0);
  });
}

bool LockStream::Make(v1::ListLocksResponse* frame, bool* more) {
  if (next_ == locks_.size()) return false;
  auto& [key, lock] = locks_[next_++];
  frame->set_key(std::move(key));
  frame->set_held_by(std::move(lock.holder));
  *frame->mutable_expires_at() = TimeToProto(lock.expires_at);
  *more = next_ < locks_.size();
  return true;
}

}  // namespace actioncluster
