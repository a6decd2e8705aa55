#ifndef ACTIONCLUSTER_BACKPLANE_CHAT_ROOM_FEED_H_
#define ACTIONCLUSTER_BACKPLANE_CHAT_ROOM_FEED_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "actioncluster/internal/v1/envelope.pb.h"
#include "backplane/bus/bus.h"
#include "backplane/domain/content.h"
#include "backplane/keys/keys.h"
#include "backplane/redis/loop.h"

namespace actioncluster {

// What this node hears of rooms: it listens to a room's channel while somebody here wants it, members or watchers.
//
// Confined to the I/O thread; callbacks run on it, never inside the calls.
class RoomFeed {
 public:
  // Said in a room; the views hold during the callback.
  struct Incoming {
    absl::string_view room;
    absl::string_view from;  // Empty: the server side.
    Content::Kind kind;
    absl::string_view body;
    absl::Time sent_at;   // Redis's time.
    uint64_t offset = 0;  // 0: the room has no history.
  };
  using Listening = absl::AnyInvocable<void(absl::Status) &&>;
  class Listener {
   public:
    virtual ~Listener() = default;
    virtual void OnSaying(const Incoming& saying) { (void)saying; }
    // Members that came in have their times; of those that left, or are lost, only those are in it of whom it was true. `at`: Redis's time.
    virtual void OnChange(const internal::v1::RoomChange& change, absl::Time at) { (void)change, (void)at; }
    // What was said and changed may be lost, in all rooms, from here on until OnResumed. Not called while no room is wanted.
    virtual void OnInterrupted() {}
    virtual void OnResumed() {}
  };

  // The references outlive this. Before Bus::Begin.
  RoomFeed(Loop& loop, Bus& bus, const Keys& keys);

  // All hear all. Before the first Want; they outlive this.
  void AddListener(Listener* listener) { listeners_.push_back(listener); }

  // One more here wants the room. `listening` hears OK when what is said and changes from then on is heard; or BACKPLANE_UNAVAILABLE when the bus is broken, or breaks before: it is wanted all the same.
  void Want(const std::string& room, Listening listening);
  // One fewer: for each Want, once, whatever it has heard. An unheard `listening` of a room that nobody wants is dropped.
  void Unwant(const std::string& room);

 private:
  struct Room {
    size_t wanted = 0;
    bool listening = false;
    std::vector<Listening> waiting;
  };

  template <class F>
  auto WhileAlive(F f);
  void OnSaying(const internal::v1::Envelope& envelope);
  void OnChange(const internal::v1::Envelope& envelope);
  void OnBusState(const absl::Status& state);
  void Confirmed(const std::string& room);

  Loop& loop_;
  Bus& bus_;
  const Keys& keys_;
  std::vector<Listener*> listeners_;
  absl::flat_hash_map<std::string, Room> rooms_;
  bool interrupted_ = false;
  bool told_ = false;  // The listeners know, and wait to hear that it goes on.
  const std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_BACKPLANE_CHAT_ROOM_FEED_H_
