#include "backplane/cache/cache_store.h"

#include <algorithm>
#include <memory>
#include <utility>

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

// For how long what a request came to is remembered.
constexpr absl::Duration kRemember = absl::Seconds(60);

std::string Micros(absl::Duration duration) { return absl::StrCat(absl::ToInt64Microseconds(duration)); }
std::string Micros(std::optional<absl::Duration> duration) { return duration.has_value() ? Micros(*duration) : "0"; }
std::string Remember(const CacheRequestId& id) {
  return id.empty() ? "0" : absl::StrCat(absl::ToInt64Milliseconds(kRemember));
}
std::string KindOf(const CacheContent& content) { return absl::StrCat(static_cast<int>(content.kind)); }

Keys::CacheKind KindOf(CacheLineRef::Kind kind) {
  return kind == CacheLineRef::Kind::kLock ? Keys::CacheKind::kLock : Keys::CacheKind::kList;
}

// Gives `done` what `parse` makes of the reply.
template <class T, class Parse>
redis::Client::Completion Parsed(Parse parse, CacheStore::Then<T> done) {
  return [parse = std::move(parse), done = std::move(done)](absl::StatusOr<Reply> reply) mutable {
    if (!reply.ok()) return std::move(done)(AsBackplaneError(reply.status()));
    std::move(done)(std::move(parse)(reply->view()));
  };
}

// What a script says first: a word, then what belongs to it.
struct Said {
  explicit Said(ReplyView reply) : rest(reply), word(rest.Text()) {}

  // How a word ends that means an error for any of them, or one that no script says.
  absl::Status Error(const std::string& key) {
    if (word == "locked") return cache_wire::KeyLocked(key, rest.Text());
    if (word == "lost") return cache_wire::LeaseLost(key);
    return rest.status().ok() ? absl::InternalError(absl::StrCat("a script of the cache said ", word)) : rest.status();
  }

  Fields rest;
  std::string word;
};

absl::StatusOr<SaveOutcome> SavedOf(ReplyView reply, const std::string& key) {
  Said said(reply);
  if (said.word == "saved") {
    const SaveOutcome outcome = {.replaced = said.rest.Number() != 0, .version = said.rest.Number()};
    if (!said.rest.status().ok()) return said.rest.status();
    return outcome;
  }
  if (said.word != "mismatch") return said.Error(key);
  return MakeError(v1::ERROR_REASON_VERSION_MISMATCH, "the key's value is another one by now",
                   {{"key", key}, {"version", said.rest.Text()}});
}

absl::StatusOr<IncrementOutcome> SumOf(ReplyView reply, const std::string& key) {
  Said said(reply);
  if (said.word == "sum") {
    const IncrementOutcome outcome = {.value = said.rest.Number(), .version = said.rest.Number()};
    if (!said.rest.status().ok()) return said.rest.status();
    return outcome;
  }
  if (said.word == "other") {
    return MakeError(v1::ERROR_REASON_NOT_AN_INTEGER, "the key's value is no integer", {{"key", key}});
  }
  if (said.word == "range") return absl::OutOfRangeError("the sum is no 64-bit integer");
  return said.Error(key);
}

absl::StatusOr<CacheEntry> LookOf(ReplyView reply, const std::string& key, const std::string& holder) {
  const ReplyView value = reply[0];
  const ReplyView lock = reply[1];
  if (!lock.is_nil()) {
    const absl::StatusOr<absl::string_view> record = lock.String();
    if (!record.ok()) return record.status();
    const absl::StatusOr<HeldLock> held = cache_wire::LockOf(*record);
    if (!held.ok()) return held.status();
    if (held->holder != holder) return cache_wire::KeyLocked(key, held->holder);
  }
  if (value.is_nil()) return cache_wire::KeyNotFound(key);
  const absl::StatusOr<absl::string_view> record = value.String();
  if (!record.ok()) return record.status();
  return cache_wire::EntryOf(*record);
}

// A duration that a script gave, or nothing where it gave ''.
std::optional<absl::Duration> ChangesIn(Fields& fields) {
  const std::optional<absl::Time> moment = fields.Moment();
  if (!moment.has_value()) return std::nullopt;
  return *moment - absl::UnixEpoch();
}

absl::StatusOr<Attempt<CacheEntry>> LoadOf(ReplyView reply, const std::string& key) {
  Said said(reply);
  Attempt<CacheEntry> attempt;
  if (said.word == "missing") return cache_wire::KeyNotFound(key);
  if (said.word == "found") {
    const absl::StatusOr<absl::string_view> record = said.rest.Element().String();
    if (!record.ok()) return record.status();
    absl::StatusOr<CacheEntry> entry = cache_wire::EntryOf(*record);
    if (!entry.ok()) return entry.status();
    attempt.got = *std::move(entry);
  } else if (said.word == "locked") {
    attempt.held_by = said.rest.Text();
    attempt.changes_in = ChangesIn(said.rest);
  } else {
    return said.Error(key);
  }
  if (!said.rest.status().ok()) return said.rest.status();
  return attempt;
}

absl::StatusOr<Attempt<LockGrant>> LockedOf(ReplyView reply, const std::string& key) {
  Said said(reply);
  Attempt<LockGrant> attempt;
  if (said.word == "acquired") {
    attempt.got = {.token = said.rest.Number(),
                   .expires_at = absl::FromUnixMicros(said.rest.Number()),
                   .renewed = said.rest.Number() != 0};
  } else if (said.word == "held") {
    attempt.held_by = said.rest.Text();
    attempt.changes_in = ChangesIn(said.rest);
  } else {
    return said.Error(key);
  }
  if (!said.rest.status().ok()) return said.rest.status();
  return attempt;
}

absl::StatusOr<Attempt<CacheContent>> PoppedOf(ReplyView reply, const std::string& key) {
  Said said(reply);
  Attempt<CacheContent> attempt;
  if (said.word == "item") {
    const absl::StatusOr<absl::string_view> item = said.rest.Element().String();
    if (!item.ok()) return item.status();
    absl::StatusOr<CacheContent> content = cache_wire::ContentOf(*item);
    if (!content.ok()) return content.status();
    attempt.got = *std::move(content);
  } else if (said.word == "none") {
    attempt.changes_in = ChangesIn(said.rest);
  } else {
    return said.Error(key);
  }
  if (!said.rest.status().ok()) return said.rest.status();
  return attempt;
}

// A word that comes with one number.
absl::StatusOr<int64_t> NumberOf(ReplyView reply, absl::string_view word, const std::string& key) {
  Said said(reply);
  if (said.word != word) return said.Error(key);
  const int64_t number = said.rest.Number();
  if (!said.rest.status().ok()) return said.rest.status();
  return number;
}

absl::StatusOr<bool> YesOf(ReplyView reply, absl::string_view word, const std::string& key) {
  const absl::StatusOr<int64_t> number = NumberOf(reply, word, key);
  if (!number.ok()) return number.status();
  return *number != 0;
}

absl::StatusOr<int64_t> PushedOf(ReplyView reply, const std::string& key) {
  Said said(reply);
  if (said.word == "full") {
    return MakeError(v1::ERROR_REASON_LIMIT_EXCEEDED, "the list has as many items as it may",
                     {{"limit", "cache_list_length"}, {"key", key}});
  }
  return NumberOf(reply, "pushed", key);
}

absl::StatusOr<CacheStore::Watch> WatchOf(ReplyView reply) {
  CacheStore::Watch watch;
  Fields fields(reply);
  watch.known = fields.Number() != 0;
  watch.changes_in = ChangesIn(fields);
  while (!fields.done()) watch.turns.push_back(static_cast<uint64_t>(fields.Number()));
  if (!fields.status().ok()) return fields.status();
  return watch;
}

}  // namespace

CacheStore::CacheStore(redis::Client& commands, const Keys& keys, int64_t max_list_length, TurnListener turns)
    : commands_(commands), keys_(keys), max_list_length_(max_list_length), turns_(std::move(turns)) {}

void CacheStore::Save(const SaveOptions& options, Then<SaveOutcome> done) {
  const std::string version = options.expected_version.has_value() ? absl::StrCat(*options.expected_version) : "";
  commands_.Execute(
      Command::Call(
          scripts::kCacheSave,
          {keys_.Cache(Keys::CacheKind::kValue, options.key), keys_.Cache(Keys::CacheKind::kLock, options.key),
           keys_.CacheRequest(Keys::CacheCall::kSave, options.key, options.request_id)},
          {options.claim.holder, absl::StrCat(options.claim.token), Micros(options.expire_after),
           KindOf(options.content), options.content.body, version, Remember(options.request_id)}),
      Changing<SaveOutcome>(
          options.key, [key = options.key](ReplyView reply) { return SavedOf(reply, key); }, std::move(done)));
}

void CacheStore::Look(const std::string& key, const std::string& holder, Then<CacheEntry> done) {
  commands_.Execute(
      Command({"MGET", keys_.Cache(Keys::CacheKind::kValue, key), keys_.Cache(Keys::CacheKind::kLock, key)}),
      Parsed<CacheEntry>([key, holder](ReplyView reply) { return LookOf(reply, key, holder); }, std::move(done)));
}

void CacheStore::Load(const LoadOptions& options, const std::optional<CacheWaiter>& waiter,
                      Then<Attempt<CacheEntry>> done) {
  std::vector<std::string> keys = {keys_.Cache(Keys::CacheKind::kValue, options.key)};
  for (std::string& key : LineKeys({CacheLineRef::Kind::kLock, options.key})) keys.push_back(std::move(key));
  const std::vector<std::string> arguments = {options.holder, Micros(options.expire_after),
                                              options.track_reads ? "1" : "0", cache_wire::Name(waiter)};
  Step<Attempt<CacheEntry>>(
      scripts::kCacheLoad, {CacheLineRef::Kind::kLock, options.key}, keys, arguments,
      [key = options.key](ReplyView reply) { return LoadOf(reply, key); }, std::move(done));
}

void CacheStore::Destroy(const std::string& key, const CacheClaim& claim, Then<bool> done) {
  commands_.Execute(Command::Call(scripts::kCacheDestroy,
                                  {keys_.Cache(Keys::CacheKind::kValue, key), keys_.Cache(Keys::CacheKind::kLock, key)},
                                  {claim.holder, absl::StrCat(claim.token)}),
                    Changing<bool>(
                        key, [key](ReplyView reply) { return YesOf(reply, "destroyed", key); }, std::move(done)));
}

void CacheStore::Increment(const IncrementOptions& options, Then<IncrementOutcome> done) {
  commands_.Execute(
      Command::Call(
          scripts::kCacheIncrement,
          {keys_.Cache(Keys::CacheKind::kValue, options.key), keys_.Cache(Keys::CacheKind::kLock, options.key),
           keys_.CacheRequest(Keys::CacheCall::kIncrement, options.key, options.request_id),
           keys_.CacheScratch(options.key)},
          {options.claim.holder, absl::StrCat(options.claim.token), absl::StrCat(options.by),
           Micros(options.expire_after), Remember(options.request_id)}),
      Changing<IncrementOutcome>(
          options.key, [key = options.key](ReplyView reply) { return SumOf(reply, key); }, std::move(done)));
}

void CacheStore::Lock(const LockOptions& options, const std::optional<CacheWaiter>& waiter,
                      Then<Attempt<LockGrant>> done) {
  const CacheLineRef line = {CacheLineRef::Kind::kLock, options.key};
  Step<Attempt<LockGrant>>(
      scripts::kCacheLock, line, LineKeys(line),
      {options.holder, Micros(options.expire_after), cache_wire::Name(waiter), absl::StrCat(last_token_)},
      [this, key = options.key](ReplyView reply) {
        absl::StatusOr<Attempt<LockGrant>> attempt = LockedOf(reply, key);
        if (attempt.ok() && attempt->got.has_value()) last_token_ = std::max(last_token_, attempt->got->token);
        return attempt;
      },
      std::move(done));
}

void CacheStore::Unlock(const std::string& key, const CacheClaim& claim, Then<bool> done) {
  UnlockIf(key, claim, "0", std::move(done));
}

void CacheStore::GiveBack(const std::string& key, const LockGrant& grant, Then<bool> done) {
  UnlockIf(key, {.holder = "", .token = grant.token}, absl::StrCat(absl::ToUnixMicros(grant.expires_at)),
           std::move(done));
}

void CacheStore::UnlockIf(const std::string& key, const CacheClaim& claim, const std::string& ends, Then<bool> done) {
  const CacheLineRef line = {CacheLineRef::Kind::kLock, key};
  Step<bool>(
      scripts::kCacheUnlock, line, LineKeys(line), {claim.holder, absl::StrCat(claim.token), ends},
      [key](ReplyView reply) { return YesOf(reply, "released", key); }, std::move(done));
}

void CacheStore::CheckLock(const std::string& key, Then<std::optional<HeldLock>> done) {
  commands_.Execute(Command({"GET", keys_.Cache(Keys::CacheKind::kLock, key)}),
                    Parsed<std::optional<HeldLock>>(
                        [](ReplyView reply) -> absl::StatusOr<std::optional<HeldLock>> {
                          if (reply.is_nil()) return std::nullopt;
                          const absl::StatusOr<absl::string_view> record = reply.String();
                          if (!record.ok()) return record.status();
                          return cache_wire::LockOf(*record);
                        },
                        std::move(done)));
}

void CacheStore::Push(const PushOptions& options, Then<int64_t> done) {
  PushTo("back", options, max_list_length_, std::move(done));
}

void CacheStore::PutBack(const std::string& key, const CacheContent& item, Then<int64_t> done) {
  // It was there before, so there is room.
  PushTo("front", {.key = key, .item = item, .request_id = ""}, max_list_length_ + 1, std::move(done));
}

void CacheStore::PushTo(absl::string_view end, const PushOptions& options, int64_t max_length, Then<int64_t> done) {
  const CacheLineRef line = {CacheLineRef::Kind::kList, options.key};
  std::vector<std::string> keys = LineKeys(line);
  keys.push_back(keys_.CacheRequest(Keys::CacheCall::kPush, options.key, options.request_id));
  Step<int64_t>(
      scripts::kCachePush, line, keys,
      {cache_wire::ItemOf(options.item), absl::StrCat(max_length), Remember(options.request_id), std::string(end)},
      [key = options.key](ReplyView reply) { return PushedOf(reply, key); }, std::move(done));
}

void CacheStore::Pop(const std::string& key, const CacheRequestId& request_id, const std::optional<CacheWaiter>& waiter,
                     Then<Attempt<CacheContent>> done) {
  const CacheLineRef line = {CacheLineRef::Kind::kList, key};
  std::vector<std::string> keys = LineKeys(line);
  keys.push_back(keys_.CacheRequest(Keys::CacheCall::kPop, key, request_id));
  Step<Attempt<CacheContent>>(
      scripts::kCachePop, line, keys, {cache_wire::Name(waiter), Remember(request_id)},
      [key](ReplyView reply) { return PoppedOf(reply, key); }, std::move(done));
}

void CacheStore::ListLength(const std::string& key, Then<int64_t> done) {
  commands_.Execute(Command({"LLEN", keys_.Cache(Keys::CacheKind::kList, key)}),
                    Parsed<int64_t>([](ReplyView reply) { return reply.Integer(); }, std::move(done)));
}

void CacheStore::Wait(const CacheLineRef& line, const std::string& boot, bool waiting,
                      const std::vector<uint64_t>& gone, Then<Watch> done) {
  std::vector<std::string> arguments = {line.kind == CacheLineRef::Kind::kLock ? "lock" : "list", boot,
                                        waiting ? "1" : "0"};
  arguments.reserve(arguments.size() + gone.size());
  for (const uint64_t number : gone) arguments.push_back(absl::StrCat(number));
  Step<Watch>(scripts::kCacheWait, line, LineKeys(line), arguments, &WatchOf, std::move(done));
}

std::vector<std::string> CacheStore::LineKeys(const CacheLineRef& line) const {
  std::vector<std::string> keys = {keys_.Cache(KindOf(line.kind), line.key)};
  for (std::string& key : keys_.CacheLine(KindOf(line.kind), line.key)) keys.push_back(std::move(key));
  return keys;
}

template <class T, class Parse>
redis::Client::Completion CacheStore::Changing(const std::string& key, Parse parse, Then<T> done) {
  if (changed_) changed_(key);
  return [this, alive = std::weak_ptr<const bool>(alive_), key,
          parsed = Parsed<T>(std::move(parse), std::move(done))](absl::StatusOr<Reply> reply) mutable {
    if (!alive.expired() && changed_) changed_(key);
    std::move(parsed)(std::move(reply));
  };
}

template <class T, class Parse>
void CacheStore::Step(const redis::Script& script, const CacheLineRef& line, const std::vector<std::string>& keys,
                      const std::vector<std::string>& arguments, Parse parse, Then<T> done) {
  if (changed_ && line.kind == CacheLineRef::Kind::kLock) changed_(line.key);
  commands_.Execute(Command::Call(script, keys, arguments),
                    [this, alive = std::weak_ptr<const bool>(alive_), line, parse = std::move(parse),
                     done = std::move(done)](absl::StatusOr<Reply> reply) mutable {
                      if (alive.expired()) return std::move(done)(BackplaneUnavailable("the node stops"));
                      if (changed_ && line.kind == CacheLineRef::Kind::kLock) changed_(line.key);
                      if (!reply.ok()) return std::move(done)(AsBackplaneError(reply.status()));
                      absl::StatusOr<std::vector<CacheWaiter>> turns = cache_wire::TurnsOf(reply->view()[1]);
                      if (!turns.ok()) return std::move(done)(turns.status());
                      if (!turns->empty()) turns_(line, *std::move(turns));
                      std::move(done)(std::move(parse)(reply->view()[0]));
                    });
}

}  // namespace actioncluster
