#include "backplane/presence/presence.h"

#include <cstddef>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "backplane/domain/error.h"
#include "backplane/domain/sha256.h"
#include "backplane/redis/command.h"
#include "backplane/redis/fields.h"
#include "backplane/redis/reply.h"
#include "backplane/scripts/scripts.h"

namespace actioncluster {
namespace {

using internal::v1::ConnectionRecord;
using internal::v1::ConnectionState;
using redis::Command;
using redis::Reply;

// For who was about to resume a connection that could not be noted as held: it can be resumed again.
constexpr absl::Duration kUndone = absl::Minutes(1);

// What Redis keeps of a token. Of none: nothing.
std::string DigestOf(const std::string& token) { return token.empty() ? "" : Sha256(token); }

// Rounded up, or a window would be no window.
std::string Millis(absl::Duration window) {
  return absl::StrCat(absl::ToInt64Milliseconds(absl::Ceil(window, absl::Milliseconds(1))));
}

absl::StatusOr<std::vector<std::string>> Texts(const absl::StatusOr<Reply>& reply) {
  if (!reply.ok()) return AsBackplaneError(reply.status());
  std::vector<std::string> texts;
  redis::Fields fields(reply->view());
  while (!fields.done()) texts.push_back(fields.Text());
  if (!fields.status().ok()) return fields.status();
  return texts;
}

absl::StatusOr<std::optional<ConnectionRecord>> RecordOf(const absl::StatusOr<Reply>& reply) {
  if (!reply.ok()) return AsBackplaneError(reply.status());
  if (reply->view().is_nil()) return std::nullopt;
  const absl::StatusOr<absl::string_view> bytes = reply->view().String();
  if (!bytes.ok()) return bytes.status();
  ConnectionRecord record;
  if (!record.ParseFromArray(bytes->data(), static_cast<int>(bytes->size()))) {
    return absl::InternalError("a connection's record does not parse");
  }
  return record;
}

// What a script said of a connection, and whether the boot has it now.
template <class T>
struct Changed {
  absl::StatusOr<T> result;
  bool held = true;  // Also when it is not known.
};

Changed<Presence::Claimed> ClaimedOf(const absl::StatusOr<Reply>& reply, const std::string& boot) {
  if (!reply.ok()) return {.result = AsBackplaneError(reply.status())};
  redis::Fields fields(reply->view());
  const bool claimed = fields.Number() != 0;
  const bool held = fields.Number() != 0;
  if (fields.status().ok() && !claimed) {
    return {.result = MakeError(v1::ERROR_REASON_CONNECTION_EXISTS, "this id is another connection's"), .held = held};
  }
  Presence::Claimed result{.claim = {boot, fields.Number()}, .former_boot = fields.Text(), .state = std::nullopt};
  const bool resumed = fields.Number() != 0;
  const std::string state = fields.Text();
  if (!fields.status().ok()) return {.result = fields.status()};
  if (resumed && !result.state.emplace().ParseFromString(state)) {
    return {.result = absl::InternalError("a connection's state does not parse")};
  }
  return {.result = std::move(result)};
}

Changed<bool> ReleasedOf(const absl::StatusOr<Reply>& reply) {
  if (!reply.ok()) return {.result = AsBackplaneError(reply.status())};
  redis::Fields fields(reply->view());
  const bool released = fields.Number() != 0;
  const bool held = fields.Number() != 0;
  if (!fields.status().ok()) return {.result = fields.status()};
  return {.result = released, .held = held};
}

}  // namespace

struct Presence::Impl : std::enable_shared_from_this<Impl> {
  Impl(redis::Client& commands_in, const Keys& keys_in) : commands(commands_in), keys(keys_in) {}

  void Claim(const std::string& connection_id, const NodeRef& holder, const std::string& shown,
             const std::string& fresh, Then<Claimed> done);
  void Release(const std::string& connection_id, const ConnectionClaim& claim, absl::Duration resume_window,
               Then<bool> done);

  // Claims and releases of one connection, by this node, that are under way. What the last of them comes to decides whether the connection is still noted as held: an earlier one's removal of the
  // note could overtake a later one's note.
  struct Change {
    std::string connection_id;
    uint64_t number;
  };
  Change Begin(const std::string& connection_id);
  void End(const Change& change, const std::string& boot, bool held);
  // Notes it as held; what went wrong with that is written to `failed`.
  void Note(const std::string& connection_id, const std::string& boot, const std::shared_ptr<absl::Status>& failed);

  redis::Client& commands;
  const Keys& keys;
  struct UnderWay {
    uint64_t last = 0;  // The number of the last change.
    int changes = 0;
  };
  absl::flat_hash_map<std::string, UnderWay> under_way;
  uint64_t last_number = 0;
};

namespace {

// Of a boot that is gone: some connections, one after the other step.
struct LeftBehind : std::enable_shared_from_this<LeftBehind> {
  LeftBehind(redis::Client& commands_in, const Keys& keys_in, const std::string& boot_in, absl::Duration window_in,
             Presence::Then<int64_t> done_in)
      : commands(commands_in), keys(keys_in), boot(boot_in), window(window_in), done(std::move(done_in)) {}

  void Start(int limit) {
    commands.Execute(Command({"SRANDMEMBER", keys.HeldConnections(boot), absl::StrCat(limit)}),
                     [self = shared_from_this()](const absl::StatusOr<Reply>& reply) {
                       absl::StatusOr<std::vector<std::string>> some = Texts(reply);
                       if (!some.ok()) return self->Finish(some.status());
                       self->connections = *std::move(some);
                       self->ReleaseAll();
                     });
  }

 private:
  void ReleaseAll() {
    if (connections.empty()) return Forget();
    left = connections.size();
    for (const std::string& id : connections) {
      commands.Execute(Command::Call(scripts::kPresenceRelease, {keys.Connection(id)}, {boot, "", Millis(window)}),
                       [self = shared_from_this()](const absl::StatusOr<Reply>& reply) {
                         self->failed.Update(ReleasedOf(reply).result.status());
                         if (--self->left > 0) return;
                         if (!self->failed.ok()) return self->Finish(self->failed);
                         self->Remove();
                       });
    }
  }

  void Remove() {
    std::vector<std::string> remove = {"SREM", keys.HeldConnections(boot)};
    remove.insert(remove.end(), connections.begin(), connections.end());
    commands.Execute(Command(remove), [self = shared_from_this()](const absl::StatusOr<Reply>& reply) {
      self->failed.Update(reply.status());
    });
    commands.Execute(Command({"SCARD", keys.HeldConnections(boot)}),
                     [self = shared_from_this()](const absl::StatusOr<Reply>& reply) {
                       self->failed.Update(reply.status());
                       const absl::StatusOr<int64_t> more = reply.ok() ? reply->view().Integer() : reply.status();
                       self->failed.Update(more.status());
                       if (!self->failed.ok()) return self->Finish(AsBackplaneError(self->failed));
                       if (*more > 0) return self->Finish(*more);
                       self->Forget();
                     });
  }

  void Forget() {
    commands.Execute(Command({"ZREM", keys.HoldingBoots(), boot}),
                     [self = shared_from_this()](const absl::StatusOr<Reply>& reply) {
                       if (!reply.ok()) return self->Finish(AsBackplaneError(reply.status()));
                       self->Finish(0);
                     });
  }

  void Finish(absl::StatusOr<int64_t> result) { std::move(done)(std::move(result)); }

  redis::Client& commands;
  const Keys& keys;
  const std::string boot;
  const absl::Duration window;
  Presence::Then<int64_t> done;
  std::vector<std::string> connections;
  size_t left = 0;
  absl::Status failed;
};

}  // namespace

Presence::Impl::Change Presence::Impl::Begin(const std::string& connection_id) {
  UnderWay& changes = under_way[connection_id];
  changes.last = ++last_number;
  ++changes.changes;
  return {connection_id, last_number};
}

void Presence::Impl::End(const Change& change, const std::string& boot, bool held) {
  const auto found = under_way.find(change.connection_id);
  if (!held && found->second.last == change.number) {
    // If this fails, the connection is noted though it is not held, which is found out when the boot is gone.
    commands.Execute(Command({"SREM", keys.HeldConnections(boot), change.connection_id}),
                     [](const absl::StatusOr<Reply>&) {});
  }
  if (--found->second.changes == 0) under_way.erase(found);
}

void Presence::Impl::Note(const std::string& connection_id, const std::string& boot,
                          const std::shared_ptr<absl::Status>& failed) {
  const auto note = [failed](const absl::StatusOr<Reply>& reply) { failed->Update(reply.status()); };
  commands.Execute(Command({"SADD", keys.HeldConnections(boot), connection_id}), note);
  commands.Execute(Command({"ZADD", keys.HoldingBoots(), "NX", absl::StrCat(absl::ToUnixMicros(absl::Now())), boot}),
                   note);
}

void Presence::Impl::Claim(const std::string& connection_id, const NodeRef& holder, const std::string& shown,
                           const std::string& fresh, Then<Claimed> done) {
  const auto not_noted = std::make_shared<absl::Status>();
  Note(connection_id, holder.boot, not_noted);
  ConnectionRecord record;
  record.set_node_id(holder.id);
  record.set_boot_id(holder.boot);
  commands.Execute(Command::Call(scripts::kPresenceClaim, {keys.Connection(connection_id)},
                                 {record.SerializeAsString(), holder.boot, DigestOf(shown), DigestOf(fresh)}),
                   [weak = weak_from_this(), change = Begin(connection_id), boot = holder.boot, not_noted,
                    done = std::move(done)](const absl::StatusOr<Reply>& reply) mutable {
                     Changed<Claimed> claimed = ClaimedOf(reply, boot);
                     const std::shared_ptr<Impl> self = weak.lock();
                     if (self != nullptr) self->End(change, boot, claimed.held);
                     if (!claimed.result.ok() || not_noted->ok() || self == nullptr)
                       return std::move(done)(std::move(claimed.result));
                     // Nobody would free it if this node died.
                     self->Release(change.connection_id, claimed.result->claim,
                                   claimed.result->state.has_value() ? kUndone : absl::ZeroDuration(),
                                   [not_noted, done = std::move(done)](const absl::StatusOr<bool>&) mutable {
                                     std::move(done)(AsBackplaneError(*not_noted));
                                   });
                   });
}

void Presence::Impl::Release(const std::string& connection_id, const ConnectionClaim& claim,
                             absl::Duration resume_window, Then<bool> done) {
  commands.Execute(
      Command::Call(scripts::kPresenceRelease, {keys.Connection(connection_id)},
                    {claim.boot, claim.epoch == 0 ? "" : absl::StrCat(claim.epoch), Millis(resume_window)}),
      [weak = weak_from_this(), change = Begin(connection_id), boot = claim.boot,
       done = std::move(done)](const absl::StatusOr<Reply>& reply) mutable {
        Changed<bool> released = ReleasedOf(reply);
        if (const std::shared_ptr<Impl> self = weak.lock()) self->End(change, boot, released.held);
        std::move(done)(std::move(released.result));
      });
}

Presence::Presence(redis::Client& commands, const Keys& keys) : impl_(std::make_shared<Impl>(commands, keys)) {}
Presence::~Presence() = default;

void Presence::Lookup(const std::string& connection_id, Then<std::optional<ConnectionRecord>> done) {
  impl_->commands.Execute(
      Command({"HGET", impl_->keys.Connection(connection_id), "record"}),
      [done = std::move(done)](const absl::StatusOr<Reply>& reply) mutable { std::move(done)(RecordOf(reply)); });
}

void Presence::Claim(const std::string& connection_id, const NodeRef& holder, const std::string& shown,
                     const std::string& fresh, Then<Claimed> done) {
  impl_->Claim(connection_id, holder, shown, fresh, std::move(done));
}

void Presence::Store(const std::string& connection_id, const ConnectionClaim& claim, const ConnectionState& state,
                     Then<bool> done) {
  impl_->commands.Execute(Command::Call(scripts::kPresenceStore, {impl_->keys.Connection(connection_id)},
                                        {claim.boot, absl::StrCat(claim.epoch), state.SerializeAsString()}),
                          [done = std::move(done)](const absl::StatusOr<Reply>& reply) mutable {
                            if (!reply.ok()) return std::move(done)(AsBackplaneError(reply.status()));
                            const absl::StatusOr<int64_t> stored = reply->view().Integer();
                            if (!stored.ok()) return std::move(done)(stored.status());
                            std::move(done)(*stored != 0);
                          });
}

void Presence::Release(const std::string& connection_id, const ConnectionClaim& claim, absl::Duration resume_window,
                       Then<bool> done) {
  impl_->Release(connection_id, claim, resume_window, std::move(done));
}

void Presence::HoldingBoots(Then<std::vector<std::string>> done) {
  impl_->commands.Execute(
      Command({"ZRANGE", impl_->keys.HoldingBoots(), "0", "-1"}),
      [done = std::move(done)](const absl::StatusOr<Reply>& reply) mutable { std::move(done)(Texts(reply)); });
}

void Presence::ReleaseLeftBehind(const std::string& boot, absl::Duration resume_window, int limit, Then<int64_t> done) {
  std::make_shared<LeftBehind>(impl_->commands, impl_->keys, boot, resume_window, std::move(done))->Start(limit);
}

}  // namespace actioncluster
