#ifndef ACTIONCLUSTER_BACKPLANE_CACHE_CACHE_RESTORER_H_
#define ACTIONCLUSTER_BACKPLANE_CACHE_CACHE_RESTORER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "backplane/cache/cache.h"
#include "backplane/cache/cache_store.h"
#include "backplane/keys/keys.h"
#include "backplane/redis/client.h"

namespace actioncluster {

// Writes what was dumped back into Redis, batch by batch, and keeps there how far it is, so that whoever comes with the same restore later goes on.
//
// A batch may be written twice (it was written, and not noted): the second time changes nothing that the first has not, but for values that others have changed between the two.
//
// Two calls never write at the same time, nor does one that was held up write when another has ended: each may write for some seconds after it was last heard, by Redis's clock (in a Redis
// Cluster: as well as its nodes' clocks agree), and who comes after it waits for that.
//
// Errors: BACKPLANE_UNAVAILABLE; INVALID_ARGUMENT and ABORTED as said below. Confined to the I/O thread; callbacks run on it, never inside the calls.
class CacheRestorer {
 public:
  template <class T>
  using Then = absl::AnyInvocable<void(absl::StatusOr<T>) &&>;

  // One call that restores.
  struct Restore {
    std::string id;    // The restore's: that of a call which goes on with it is the same.
    std::string call;  // This call's own; never the same again.
    bool keep_existing = false;
  };
  // What such a call was told last.
  struct Standing {
    int64_t written = 0;    // Entries, from the first.
    std::string run;        // Names what was written since the restore began at its start, by whichever calls.
    int64_t may_write = 0;  // Until then, µs.
    absl::Duration wait;    // Another call may still write for so long. Not 0: wait, then note that it goes on.
  };

  struct Value {
    CacheContent content;
    std::optional<absl::Time> created_at;  // Unset: now.
    std::optional<absl::Time> expires_at;
  };
  // The parts of one list follow each other.
  struct ListPart {
    int64_t offset = 0;  // How many items came before.
    bool last = false;
    int64_t first_entry = 0;  // Which entry of the restore the list begins with.
    std::vector<CacheContent> items;
  };
  struct Entry {
    std::string key;
    std::variant<Value, ListPart> what;
  };
  enum class Outcome {
    kWritten,  // Of a list: all of it, with its last part.
    kStaged,   // A part of a list, not the last.
    kKept,     // There was one.
    kExpired,
    kLate,  // The call may not write any more, until it has noted how far it is.
    kGap,  // Redis has not got the parts before this one: after a first part that was kept, or it was emptied meanwhile.
  };

  // The references outlive this. `turns` hears whose turns have come because lists have items.
  CacheRestorer(redis::Client& commands, const Keys& keys, CacheStore::TurnListener turns)
      : commands_(commands), keys_(keys), turns_(std::move(turns)) {}

  // Hears of each key whose value is written, as the store's does. Once, before anything else.
  void OnChange(CacheStore::ChangeListener listener) { changed_ = std::move(listener); }

  // Begins, or goes on: how many entries are written already, unless it is to begin `from_start`. `what` says what is restored, so that one id is never used for two things: INVALID_ARGUMENT.
  // Another call that is at it ends with ABORTED at its next note.
  void Begin(const Restore& restore, const std::string& what, bool from_start, Then<Standing> done);
  // Writes entries, of which there is at least one, in their order.
  void Write(const Restore& restore, const Standing& standing, const std::vector<Entry>& entries,
             Then<std::vector<Outcome>> done);
  // `written` entries are, from the first. ABORTED: another call goes on with this restore, or nothing is known of it any more: it was cleared.
  void Note(const Restore& restore, int64_t written, Then<Standing> done);
  // All are, and so many they were: that is known for two minutes more. ABORTED.
  void End(const Restore& restore, int64_t written, Then<Standing> done);
  // These lists are written, and that is noted: what is remembered of each is not needed any more.
  void Forget(const std::vector<std::string>& lists);

 private:
  void Step(const Restore& restore, const std::string& step, const std::string& what, Then<Standing> done);
  redis::Command CommandOf(const Restore& restore, const Standing& standing, const Entry& entry) const;
  void Changed(const std::string& key) {
    if (changed_ != nullptr) changed_(key);
  }

  redis::Client& commands_;
  const Keys& keys_;
  CacheStore::TurnListener turns_;
  CacheStore::ChangeListener changed_;
  const std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_BACKPLANE_CACHE_CACHE_RESTORER_H_
