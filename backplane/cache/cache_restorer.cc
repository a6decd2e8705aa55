#include "backplane/cache/cache_restorer.h"

#include <cstddef>
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
using Outcome = CacheRestorer::Outcome;

std::string Micros(const std::optional<absl::Time>& time) {
  return time.has_value() ? absl::StrCat(absl::ToUnixMicros(*time)) : "0";
}

absl::StatusOr<Outcome> OutcomeOf(const std::string& word) {
  if (word == "written") return Outcome::kWritten;
  if (word == "staged") return Outcome::kStaged;
  if (word == "kept") return Outcome::kKept;
  if (word == "expired") return Outcome::kExpired;
  if (word == "late") return Outcome::kLate;
  if (word == "gap") return Outcome::kGap;
  return absl::InternalError(absl::StrCat("a script of the cache said ", word));
}

// What came of a batch: ends when each of its commands has.
struct Batch {
  std::vector<Outcome> outcomes;
  size_t left;
  absl::Status status;
  CacheRestorer::Then<std::vector<Outcome>> done;

  void Ended(size_t index, const absl::StatusOr<Outcome>& outcome) {
    if (outcome.ok()) {
      outcomes[index] = *outcome;
    } else {
      status.Update(outcome.status());
    }
    if (--left > 0) return;
    if (!status.ok()) return std::move(done)(status);
    std::move(done)(std::move(outcomes));
  }
};

}  // namespace

void CacheRestorer::Begin(const Restore& restore, const std::string& what, bool from_start, Then<Standing> done) {
  Step(restore, from_start ? "anew" : "begin", what, std::move(done));
}

void CacheRestorer::Note(const Restore& restore, int64_t written, Then<Standing> done) {
  Step(restore, "note", absl::StrCat(written), std::move(done));
}

void CacheRestorer::End(const Restore& restore, int64_t written, Then<Standing> done) {
  Step(restore, "end", absl::StrCat(written), std::move(done));
}

void CacheRestorer::Step(const Restore& restore, const std::string& step, const std::string& what,
                         Then<Standing> done) {
  commands_.Execute(
      Command::Call(scripts::kCacheRestoreNote, {keys_.Cache(Keys::CacheKind::kRestore, restore.id)},
                    {restore.call, step, what}),
      [done = std::move(done)](absl::StatusOr<Reply> reply) mutable {
        if (!reply.ok()) return std::move(done)(AsBackplaneError(reply.status()));
        Fields fields(reply->view());
        const std::string word = fields.Text();
        if (word == "other") {
          return std::move(done)(absl::InvalidArgumentError(
              "restore_id was used for other entries, or with another keep_existing, within the last week"));
        }
        if (word == "lost") return std::move(done)(absl::AbortedError("another call goes on with this restore"));
        if (word == "gone") {
          return std::move(done)(absl::AbortedError(
              "the cache was cleared meanwhile, which has ended this restore: what it had written may "
              "be gone, what it has written since may be there"));
        }
        Standing standing;
        standing.written = fields.Number();
        standing.run = fields.Text();
        standing.may_write = fields.Number();
        standing.wait = absl::Microseconds(fields.Number());
        if (!fields.status().ok()) return std::move(done)(fields.status());
        std::move(done)(std::move(standing));
      });
}

Command CacheRestorer::CommandOf(const Restore& restore, const Standing& standing, const Entry& entry) const {
  const std::string keep = restore.keep_existing ? "1" : "0";
  const std::string until = absl::StrCat(standing.may_write);
  if (const Value* value = std::get_if<Value>(&entry.what)) {
    return Command::Call(
        scripts::kCacheRestore,
        {keys_.Cache(Keys::CacheKind::kValue, entry.key), keys_.Cache(Keys::CacheKind::kLock, entry.key)},
        {Micros(value->created_at), Micros(value->expires_at), absl::StrCat(static_cast<int>(value->content.kind)),
         value->content.body, keep, until});
  }
  const ListPart& part = std::get<ListPart>(entry.what);
  std::vector<std::string> keys = {keys_.Cache(Keys::CacheKind::kList, entry.key)};
  for (std::string& key : keys_.CacheLine(Keys::CacheKind::kList, entry.key)) keys.push_back(std::move(key));
  keys.push_back(keys_.Cache(Keys::CacheKind::kStaged, entry.key));
  std::vector<std::string> arguments = {absl::StrCat(part.offset),
                                        part.last ? "1" : "0",
                                        keep,
                                        restore.call,
                                        absl::StrCat(part.first_entry, " of ", standing.run),
                                        until};
  arguments.reserve(arguments.size() + part.items.size());
  for (const CacheContent& item : part.items) arguments.push_back(cache_wire::ItemOf(item));
  return Command::Call(scripts::kCacheRestoreList, keys, arguments);
}

void CacheRestorer::Write(const Restore& restore, const Standing& standing, const std::vector<Entry>& entries,
                          Then<std::vector<Outcome>> done) {
  const auto batch = std::make_shared<Batch>(Batch{.outcomes = std::vector<Outcome>(entries.size()),
                                                   .left = entries.size(),
                                                   .status = absl::OkStatus(),
                                                   .done = std::move(done)});
  for (size_t i = 0; i < entries.size(); ++i) {
    const bool is_list = std::holds_alternative<ListPart>(entries[i].what);
    if (!is_list) Changed(entries[i].key);
    commands_.Execute(CommandOf(restore, standing, entries[i]),
                      [this, alive = std::weak_ptr<const bool>(alive_), batch, i, key = entries[i].key,
                       is_list](absl::StatusOr<Reply> reply) {
                        if (!is_list && !alive.expired()) Changed(key);
                        if (!reply.ok()) return batch->Ended(i, AsBackplaneError(reply.status()));
                        const ReplyView said = is_list ? reply->view()[0] : reply->view();
                        const absl::StatusOr<absl::string_view> word = said.String();
                        if (!word.ok()) return batch->Ended(i, word.status());
                        if (is_list) {
                          absl::StatusOr<std::vector<CacheWaiter>> turns = cache_wire::TurnsOf(reply->view()[1]);
                          if (!turns.ok()) return batch->Ended(i, turns.status());
                          if (!turns->empty())
                            turns_({.kind = CacheLineRef::Kind::kList, .key = key}, *std::move(turns));
                        }
                        batch->Ended(i, OutcomeOf(std::string(*word)));
                      });
  }
}

void CacheRestorer::Forget(const std::vector<std::string>& lists) {
  for (const std::string& key : lists) {
    commands_.Execute(Command({"UNLINK", keys_.Cache(Keys::CacheKind::kStaged, key)}),
                      [](const absl::StatusOr<Reply>&) {});
  }
}

}  // namespace actioncluster
