#ifndef ACTIONCLUSTER_SERVER_ROOMS_H_
#define ACTIONCLUSTER_SERVER_ROOMS_H_

#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "backplane/bus/bus.h"
#include "backplane/cache/cache_lines.h"
#include "backplane/cache/cache_restorer.h"
#include "backplane/cache/cache_scan.h"
#include "backplane/cache/cache_store.h"
#include "backplane/cache/near_cache.h"
#include "backplane/cache/near_feed.h"
#include "backplane/cache/shared_cache.h"
#include "backplane/chat/ghost_sweeper.h"
#include "backplane/chat/room_feed.h"
#include "backplane/chat/room_store.h"
#include "backplane/keys/keys.h"
#include "backplane/membership/membership.h"
#include "backplane/presence/presence.h"
#include "backplane/pubsub/pubsub.h"
#include "backplane/redis/client.h"
#include "backplane/redis/loop.h"
#include "backplane/rpc/rpc.h"
#include "backplane/tasks/sweeper.h"
#include "backplane/tasks/task_signals.h"
#include "backplane/tasks/task_store.h"
#include "backplane/tasks/task_watchers.h"
#include "server/config/settings.h"
#include "server/connections/connection_host.h"
#include "server/connections/room_hooks.h"
#include "server/connections/room_reader.h"
#include "server/methods/drain_sequence.h"
#include "server/methods/method_host.h"
#include "server/methods/node_methods.h"
#include "server/observability/health.h"
#include "server/services/cache_pipeline_stream.h"
#include "server/services/cache_proto.h"
#include "server/services/cache_waits.h"
#include "server/services/connection_streams.h"
#include "server/services/node_stream.h"
#include "server/services/room_watchers.h"
#include "server/services/subscribers.h"
#include "server/workers/worker_host.h"

namespace actioncluster {

// The limits of the cache, as they are set.
CacheLimits CacheLimitsOf(const Settings& settings);
// What a node's servers take of a message at most: whoever sends a value that is somewhat too large hears so from us.
int MaxReceiveBytes(const Settings& settings);

// Everything of a node that is confined to its I/O thread, in the order in which one part stands on another. Made and destroyed there.
struct Rooms {
  struct Hooks {
    absl::AnyInvocable<void()> shutdown;                  // node.shutdown was called.
    absl::AnyInvocable<void(bool serving)> on_serving;    // Health changed.
    absl::AnyInvocable<void(const NodeRef& self)> named;  // The node serves under this name and boot, newly.
  };

  Rooms(Loop& loop, const Settings& settings, const redis::LinkOptions& link, Sealer sealer, MembershipOptions self,
        Hooks hooks);

  // Ends all streams of clients with this status.
  void CloseStreams(const absl::Status& why);

  const Keys keys;
  redis::Client commands;
  Bus bus;
  Membership membership;
  Presence presence;
  NodeMethods node_methods;
  MethodHost host;
  Rpc rpc;
  PubSub pubsub;
  CacheStore cache_store;
  CacheLines cache_lines;
  const std::unique_ptr<NearCache> near_cache;  // Null without --near-cache-bytes.
  const std::unique_ptr<NearFeed> near_feed;    // Null likewise.
  SharedCache cache;
  CacheScan cache_scan;
  CacheRestorer cache_restorer;
  TaskStore tasks;
  TaskSignals task_signals;
  Sweeper sweeper;
  TaskWatchers task_watchers;
  WorkerHost workers;
  RoomStore room_store;
  RoomFeed room_feed;
  GhostSweeper ghost_sweeper;
  RoomHooks room_hooks;
  RoomReader room_reader;
  ConnectionHost connections;
  ConnectionStreams connection_streams;
  RoomWatchers room_watchers;
  DrainSequence drain;
  NodeWatchers watchers;
  Subscribers subscribers;
  CachePipelines cache_pipelines;
  CacheWaits cache_waits;
  Hooks hooks;
  Health health;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_ROOMS_H_
