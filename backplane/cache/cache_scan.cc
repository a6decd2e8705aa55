#include "backplane/cache/cache_scan.h"

#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "backplane/cache/cache_wire.h"
#include "backplane/domain/error.h"
#include "backplane/redis/command.h"
#include "backplane/redis/fields.h"
#include "backplane/redis/reply.h"
#include "backplane/scripts/scripts.h"

namespace actioncluster {
namespace {

using redis::Command;
using redis::Fields;
using redis::Reply;
using redis::ReplyView;

// How many keys a step looks at: 1.5 µs each.
constexpr absl::string_view kScanCount = "128";

// Commands on many keys: one each, as in a Redis Cluster these are in different slots. Gives the replies, in order, or the first error.
class Many : public std::enable_shared_from_this<Many> {
 public:
  using Done = CacheScan::Then<std::vector<Reply>>;

  Many(size_t commands, Done done) : replies_(commands), left_(commands), done_(std::move(done)) {}

  redis::Client::Completion Expect(size_t index) {
    return [self = shared_from_this(), index](absl::StatusOr<Reply> reply) {
      if (reply.ok()) {
        self->replies_[index] = *std::move(reply);
      } else {
        self->status_.Update(reply.status());
      }
      if (--self->left_ > 0) return;
      if (!self->status_.ok()) return std::move(self->done_)(AsBackplaneError(self->status_));
      std::move(self->done_)(std::move(self->replies_));
    };
  }

 private:
  std::vector<Reply> replies_;
  size_t left_;
  absl::Status status_;
  Done done_;
};

// Sends what `command` makes of each key, of which there is at least one.
template <class MakeCommand>
void ForEach(redis::Client& commands, const std::vector<std::string>& keys, MakeCommand command, Many::Done done) {
  const auto many = std::make_shared<Many>(keys.size(), std::move(done));
  for (size_t i = 0; i < keys.size(); ++i) commands.Execute(command(keys[i]), many->Expect(i));
}

// What `parse` makes of a record; nothing where there is none.
template <class T>
absl::StatusOr<std::optional<T>> ParsedOrNothing(ReplyView reply, absl::StatusOr<T> (*parse)(absl::string_view)) {
  if (reply.is_nil()) return std::nullopt;
  const absl::StatusOr<absl::string_view> record = reply.String();
  if (!record.ok()) return record.status();
  absl::StatusOr<T> parsed = parse(*record);
  if (!parsed.ok()) return parsed.status();
  return *std::move(parsed);
}

absl::StatusOr<CacheScan::Peek> PeekOf(ReplyView reply) {
  const absl::StatusOr<absl::string_view> record = reply.String();
  if (!record.ok()) return record.status();
  if (record->empty()) return CacheScan::Peek();
  if (record->size() >= static_cast<size_t>(CacheScan::kSmallBytes))
    return CacheScan::Peek{.entry = std::nullopt, .is_large = true};
  absl::StatusOr<CacheEntry> entry = cache_wire::EntryOf(*record);
  if (!entry.ok()) return entry.status();
  return CacheScan::Peek{.entry = *std::move(entry), .is_large = false};
}

absl::StatusOr<CacheScan::Items> ItemsOf(ReplyView reply) {
  CacheScan::Items found;
  Fields fields(reply);
  found.length = fields.Number();
  found.items.reserve(reply.size());
  while (!fields.done()) {
    const absl::StatusOr<absl::string_view> item = fields.Element().String();
    if (!item.ok()) return item.status();
    absl::StatusOr<CacheContent> content = cache_wire::ContentOf(*item);
    if (!content.ok()) return content.status();
    found.items.push_back(*std::move(content));
  }
  if (!fields.status().ok()) return fields.status();
  return found;
}

// What `parse` makes of each reply.
template <class T, class Parse>
Many::Done ParsedEach(Parse parse, CacheScan::Then<std::vector<T>> done) {
  return [parse, done = std::move(done)](absl::StatusOr<std::vector<Reply>> replies) mutable {
    if (!replies.ok()) return std::move(done)(replies.status());
    std::vector<T> all;
    all.reserve(replies->size());
    for (const Reply& reply : *replies) {
      absl::StatusOr<T> parsed = parse(reply.view());
      if (!parsed.ok()) return std::move(done)(parsed.status());
      all.push_back(*std::move(parsed));
    }
    std::move(done)(std::move(all));
  };
}

}  // namespace

void CacheScan::Next(Keys::CacheKind kind, const std::string& prefix, const Cursor& cursor, Then<Page> done) {
  commands_.Execute(Command({"SCAN", cursor.position, "MATCH", keys_.CachePattern(kind, prefix), "COUNT", kScanCount}),
                    [this, kind, done = std::move(done)](absl::StatusOr<Reply> reply) mutable {
                      if (!reply.ok()) return std::move(done)(AsBackplaneError(reply.status()));
                      Fields fields(reply->view());
                      Page page;
                      page.next.position = fields.Text();
                      page.next.done = page.next.position == "0";
                      Fields names = fields.Array();
                      while (!names.done()) {
                        if (std::optional<std::string> key = keys_.CacheKeyOf(kind, names.Text()))
                          page.keys.push_back(*std::move(key));
                      }
                      fields.Note(names.status());
                      if (!fields.status().ok()) return std::move(done)(fields.status());
                      std::move(done)(std::move(page));
                    });
}

void CacheScan::Changed(Keys::CacheKind kind, const std::vector<std::string>& keys) {
  if (changed_ == nullptr || kind != Keys::CacheKind::kValue) return;
  for (const std::string& key : keys) changed_(key);
}

void CacheScan::Remove(Keys::CacheKind kind, const std::vector<std::string>& keys, Then<int64_t> done) {
  Changed(kind, keys);
  ForEach(
      commands_, keys,
      [&](const std::string& key) {
        return Command({"UNLINK", keys_.Cache(kind, key)});
      },
      ParsedEach<int64_t>([](ReplyView reply) { return reply.Integer(); },
                          [this, alive = std::weak_ptr<const bool>(alive_), kind, keys,
                           done = std::move(done)](const absl::StatusOr<std::vector<int64_t>>& removed) mutable {
                            if (!alive.expired()) Changed(kind, keys);
                            if (!removed.ok()) return std::move(done)(removed.status());
                            int64_t sum = 0;
                            for (const int64_t each : *removed) sum += each;
                            std::move(done)(sum);
                          }));
}

void CacheScan::ReadLocks(const std::vector<std::string>& keys, Then<std::vector<std::optional<HeldLock>>> done) {
  ForEach(
      commands_, keys,
      [&](const std::string& key) {
        return Command({"GET", keys_.Cache(Keys::CacheKind::kLock, key)});
      },
      ParsedEach<std::optional<HeldLock>>(
          [](ReplyView reply) { return ParsedOrNothing<HeldLock>(reply, &cache_wire::LockOf); }, std::move(done)));
}

void CacheScan::ReadValue(const std::string& key, Then<std::optional<CacheEntry>> done) {
  commands_.Execute(Command({"GET", keys_.Cache(Keys::CacheKind::kValue, key)}),
                    [done = std::move(done)](absl::StatusOr<Reply> reply) mutable {
                      if (!reply.ok()) return std::move(done)(AsBackplaneError(reply.status()));
                      std::move(done)(ParsedOrNothing<CacheEntry>(reply->view(), &cache_wire::EntryOf));
                    });
}

void CacheScan::ReadSmallValues(const std::vector<std::string>& keys, Then<std::vector<Peek>> done) {
  const std::string last = absl::StrCat(kSmallBytes - 1);
  ForEach(
      commands_, keys,
      [&](const std::string& key) {
        return Command({"GETRANGE", keys_.Cache(Keys::CacheKind::kValue, key), "0", last});
      },
      ParsedEach<Peek>(&PeekOf, std::move(done)));
}

void CacheScan::ReadItems(const std::string& key, int64_t offset, int64_t count, Then<Items> done) {
  commands_.Execute(Command::Call(scripts::kCacheItems, {keys_.Cache(Keys::CacheKind::kList, key)},
                                  {absl::StrCat(offset), absl::StrCat(count), absl::StrCat(kItemBytes)}),
                    [done = std::move(done)](absl::StatusOr<Reply> reply) mutable {
                      if (!reply.ok()) return std::move(done)(AsBackplaneError(reply.status()));
                      std::move(done)(ItemsOf(reply->view()));
                    });
}

}  // namespace actioncluster
