#ifndef ACTIONCLUSTER_BACKPLANE_CACHE_CACHE_STORE_H_
#define ACTIONCLUSTER_BACKPLANE_CACHE_CACHE_STORE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "backplane/cache/cache.h"
#include "backplane/keys/keys.h"
#include "backplane/redis/client.h"
#include "backplane/redis/command.h"

namespace actioncluster {

// A line in which callers wait, over the whole cluster: for the lock on a key, or for an item of its list.
struct CacheLineRef {
  enum class Kind { kLock, kList };
  Kind kind;
  std::string key;

  friend bool operator==(const CacheLineRef&, const CacheLineRef&) = default;
  template <class H>
  friend H AbslHashValue(H h, const CacheLineRef& line) {
    return H::combine(std::move(h), line.kind, line.key);
  }
};

// Names a caller in a line.
struct CacheWaiter {
  std::string boot;     // The node's
  uint64_t number = 0;  // The node's own name for it; not 0
};

// What an attempt came to that may have to wait: got what it wanted, or for how long nothing changes by itself (unset: not known).
template <class T>
struct Attempt {
  std::optional<T> got;
  std::string held_by;  // Of locks. Empty: nobody, but another's turn has come.
  std::optional<absl::Duration> changes_in;
};

// The cache as Redis keeps it: each method is one command or one script over the keys of one slot, and one round trip. What the scripts do stands on top of scripts/cache_*.lua. Calls on one
// key take effect in the order in which they are made.
//
// Errors: BACKPLANE_UNAVAILABLE (of what changes something it is not known whether it was done); KEY_LOCKED (metadata: key, held_by), LEASE_LOST and the others that the public contract names,
// with the key in the metadata; INTERNAL if Redis says what no script of ours does.
//
// Confined to the I/O thread; callbacks run on it, never inside the calls.
class CacheStore {
 public:
  template <class T>
  using Then = absl::AnyInvocable<void(absl::StatusOr<T>) &&>;

  // Whose turns have come by a step: their nodes have to be told. Heard before the step's callback.
  using TurnListener = absl::AnyInvocable<void(const CacheLineRef& line, std::vector<CacheWaiter> waiters)>;

  // Hears of each key whose value or lock a step of this node changes, or may: when it is sent, so that who reads behind it reads anew, and before its callback.
  using ChangeListener = absl::AnyInvocable<void(const std::string& key)>;

  // The references outlive this.
  CacheStore(redis::Client& commands, const Keys& keys, int64_t max_list_length, TurnListener turns);

  // Once, before anything else.
  void OnChange(ChangeListener listener) { changed_ = std::move(listener); }

  void Save(const SaveOptions& options, Then<SaveOutcome> done);
  // What is there, in one native command that writes nothing. CACHE_KEY_NOT_FOUND; KEY_LOCKED.
  void Look(const std::string& key, const std::string& holder, Then<CacheEntry> done);
  // As Look, but notes the read and sets the expiry as `options` say; if another has the lock, `waiter` lines up. CACHE_KEY_NOT_FOUND.
  void Load(const LoadOptions& options, const std::optional<CacheWaiter>& waiter, Then<Attempt<CacheEntry>> done);
  void Destroy(const std::string& key, const CacheClaim& claim, Then<bool> done);
  void Increment(const IncrementOptions& options, Then<IncrementOutcome> done);

  // If another has it, `waiter` lines up.
  void Lock(const LockOptions& options, const std::optional<CacheWaiter>& waiter, Then<Attempt<LockGrant>> done);
  // False: nobody had it.
  void Unlock(const std::string& key, const CacheClaim& claim, Then<bool> done);
  // Gives up a lock that was taken for nobody, unless its holder has renewed it since.
  void GiveBack(const std::string& key, const LockGrant& grant, Then<bool> done);
  void CheckLock(const std::string& key, Then<std::optional<HeldLock>> done);

  // The new length. LIMIT_EXCEEDED.
  void Push(const PushOptions& options, Then<int64_t> done);
  // Puts an item back to the front that was taken for nobody.
  void PutBack(const std::string& key, const CacheContent& item, Then<int64_t> done);
  // If there is none, `waiter` lines up.
  void Pop(const std::string& key, const CacheRequestId& request_id, const std::optional<CacheWaiter>& waiter,
           Then<Attempt<CacheContent>> done);
  void ListLength(const std::string& key, Then<int64_t> done);

  struct Watch {
    bool known = false;                        // Redis knew that the node waits. False: it has forgotten those who do.
    std::optional<absl::Duration> changes_in;  // As in Attempt.
    std::vector<uint64_t> turns;               // Whose turn it is.
  };
  // Says that callers of a node wait in a line (`waiting`), and that some do not any more.
  void Wait(const CacheLineRef& line, const std::string& boot, bool waiting, const std::vector<uint64_t>& gone,
            Then<Watch> done);

 private:
  // Gives `done` what `parse` makes of the reply, once the key's change is told.
  template <class T, class Parse>
  redis::Client::Completion Changing(const std::string& key, Parse parse, Then<T> done);
  // Lock or list, then its line, as scripts take them.
  std::vector<std::string> LineKeys(const CacheLineRef& line) const;
  // Runs a script that gives what it says, and whose turns have come.
  template <class T, class Parse>
  void Step(const redis::Script& script, const CacheLineRef& line, const std::vector<std::string>& keys,
            const std::vector<std::string>& arguments, Parse parse, Then<T> done);
  void UnlockIf(const std::string& key, const CacheClaim& claim, const std::string& ends, Then<bool> done);
  void PushTo(absl::string_view end, const PushOptions& options, int64_t max_length, Then<int64_t> done);

  redis::Client& commands_;
  const Keys& keys_;
  const int64_t max_list_length_;
  TurnListener turns_;
  ChangeListener changed_;
  int64_t last_token_ = 0;  // The largest of any lock that was seen: tokens grow though the clock goes back.
  const std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_BACKPLANE_CACHE_CACHE_STORE_H_
