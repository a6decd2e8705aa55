#include "server/services/cache_dump_stream.h"

#include <algorithm>
#include <iterator>
#include <memory>

#include "absl/strings/numbers.h"
#include "server/grpc/time_proto.h"
#include "server/services/cache_proto.h"

namespace actioncluster {
namespace {

// Small values are read so many at a time: 1 MiB at most.
constexpr size_t kValuesAtOnce = 32;
// Items are read so few at first, when it is not known how large they are, and so many at most.
constexpr int64_t kFirstItems = 16;
constexpr int64_t kMostItems = 1000;

void SetContent(CacheContent content, v1::DumpEntry* entry) {
  int64_t integer = 0;
  if (content.kind == CacheContent::Kind::kInteger && absl::SimpleAtoi(content.body, &integer)) {
    entry->set_integer(integer);
  } else {
    SetCacheContent(std::move(content), entry);
  }
}

}  // namespace

void DumpStream::Find() {
  found_.clear();
  found_bytes_ = 0;
  next_ = 0;
  if (list_.has_value()) return FindPart();
  if (!large_.empty()) return FindLargeValue();
  if (!keys_.empty() && kind_ == CacheKind::kValue) return FindSmallValues();
  if (!keys_.empty()) {
    list_ = std::move(keys_.front());
    keys_.pop_front();
    offset_ = 0;
    count_ = kFirstItems;
    return FindPart();
  }
  Walk();
}

void DumpStream::Walk() {
  if (walk_.has_value() && walk_->done()) {
    walk_.reset();
    if (kind_ == CacheKind::kList) {
      ended_ = true;
      return End(absl::OkStatus());
    }
    kind_ = CacheKind::kList;
  }
  if (!walk_.has_value()) walk_.emplace(loop(), scan_, kind_, prefix_, CacheWalk::kVisits);
  walk_->Next([this, self = shared_from_this()](absl::StatusOr<std::vector<std::string>> keys) {
    if (!keys.ok()) return End(keys.status());
    keys_.assign(std::make_move_iterator(keys->begin()), std::make_move_iterator(keys->end()));
    Found(0);
  });
}

void DumpStream::FindSmallValues() {
  const auto last = keys_.begin() + static_cast<std::ptrdiff_t>(std::min(keys_.size(), kValuesAtOnce));
  std::vector<std::string> keys(std::make_move_iterator(keys_.begin()), std::make_move_iterator(last));
  keys_.erase(keys_.begin(), last);
  scan_.ReadSmallValues(
      keys, [this, self = shared_from_this(), keys](absl::StatusOr<std::vector<CacheScan::Peek>> values) mutable {
        if (!values.ok()) return End(values.status());
        for (size_t i = 0; i < values->size(); ++i) {
          CacheScan::Peek& value = (*values)[i];
          if (value.is_large) large_.push_back(std::move(keys[i]));
          if (value.entry.has_value()) Add(std::move(keys[i]), *std::move(value.entry));
        }
        Found(found_bytes_);
      });
}

void DumpStream::FindLargeValue() {
  std::string key = std::move(large_.front());
  large_.pop_front();
  scan_.ReadValue(key, [this, self = shared_from_this(), key](absl::StatusOr<std::optional<CacheEntry>> entry) {
    if (!entry.ok()) return End(entry.status());
    if (entry->has_value()) Add(key, **std::move(entry));
    Found(found_bytes_);
  });
}

void DumpStream::Add(std::string key, CacheEntry entry) {
  found_bytes_ += key.size() + entry.content.body.size();
  found_.push_back({.key = std::move(key), .what = std::move(entry)});
  ++entries_;
}

void DumpStream::FindPart() {
  scan_.ReadItems(*list_, offset_, count_, [this, self = shared_from_this()](absl::StatusOr<CacheScan::Items> items) {
    if (!items.ok()) return End(items.status());
    FoundItems(*std::move(items));
  });
}

void DumpStream::FoundItems(CacheScan::Items items) {
  const auto count = static_cast<int64_t>(items.items.size());
  if (offset_ == 0) until_ = items.length;
  const bool last = count == 0 || offset_ + count >= std::min(items.length, until_);
  size_t largest = 1;
  for (const CacheContent& item : items.items) {
    found_bytes_ += item.body.size();
    largest = std::max(largest, item.body.size());
  }
  // A list of which nothing was given is gone meanwhile.
  if (count > 0 || offset_ > 0) {
    Part part = {.offset = offset_, .last = last, .items = std::move(items.items)};
    found_.push_back({.key = *list_, .what = std::move(part)});
    ++entries_;
  }
  offset_ += count;
  count_ =
      std::clamp<int64_t>(CacheScan::kItemBytes / static_cast<int64_t>(largest), 1, std::min(kMostItems, 4 * count_));
  if (last) list_.reset();
  Found(found_bytes_);
}

bool DumpStream::Make(v1::DumpResponse* frame, bool* more) {
  if (next_ == found_.size()) {
    if (!ended_) return false;
    ended_ = false;
    frame->mutable_end()->set_entries(entries_);
    return true;
  }
  Entry& entry = found_[next_++];
  *more = next_ < found_.size();
  v1::DumpEntry* const to = frame->mutable_entry();
  to->set_key(std::move(entry.key));
  if (CacheEntry* value = std::get_if<CacheEntry>(&entry.what)) {
    *to->mutable_created_at() = TimeToProto(value->created_at);
    if (value->expires_at.has_value()) *to->mutable_expires_at() = TimeToProto(*value->expires_at);
    SetContent(std::move(value->content), to);
    return true;
  }
  Part& part = std::get<Part>(entry.what);
  v1::DumpEntry::ListPart* const list = to->mutable_list();
  list->set_offset(part.offset);
  list->set_last(part.last);
  list->mutable_items()->Reserve(static_cast<int>(part.items.size()));
  for (CacheContent& item : part.items) SetCacheContent(std::move(item), list->add_items());
  return true;
}

}  // namespace actioncluster
