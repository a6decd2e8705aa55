#include "server/rooms.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_split.h"
#include "backplane/scripts/scripts.h"
#include "glog/logging.h"
#include "server/grpc/public_server.h"
#include "server/services/worker_proto.h"

namespace actioncluster {

CacheLimits CacheLimitsOf(const Settings& settings) {
  return {.key_bytes = static_cast<size_t>(settings.cache_key_bytes),
          .value_bytes = static_cast<size_t>(settings.cache_value_bytes),
          .batch = static_cast<size_t>(settings.cache_batch),
          .list_length = static_cast<size_t>(settings.cache_list_length),
          .restore_bytes = static_cast<size_t>(settings.restore_bytes)};
}

int MaxReceiveBytes(const Settings& settings) {
  return std::max(PublicServer::kMaxReceiveBytes, static_cast<int>(2 * settings.cache_value_bytes));
}

namespace {

ConnectionSettings ConnectionSettingsOf(const Settings& settings) {
  return {.resume_window = settings.resume_window,
          .client_methods = absl::StrSplit(settings.client_methods, ',', absl::SkipEmpty()),
          .call_timeout = settings.rpc_timeout};
}

ConnectionStreams::Limits ConnectionLimitsOf(const Settings& settings) {
  return {.outbox_bytes = static_cast<size_t>(settings.connection_outbox_bytes),
          .drop = settings.slow_clients == "drop",
          .connections = static_cast<size_t>(settings.max_connections)};
}

}  // namespace

Rooms::Rooms(Loop& loop, const Settings& settings, const redis::LinkOptions& link, Sealer sealer,
             MembershipOptions self, Hooks node_hooks)
    : keys(settings.cluster_namespace, link.endpoint.database),
      commands(loop, link, scripts::All()),
      bus(loop, commands, link, keys, std::move(sealer)),
      membership(loop, commands, bus, keys, std::move(self)),
      presence(commands, keys),
      node_methods(membership, bus.counters()),
      host(loop, bus, membership, keys, node_methods),
      rpc(loop, bus, membership, presence, keys, host),
      pubsub(loop, bus, membership, keys),
      cache_store(commands, keys, settings.cache_list_length,
                  [this](const CacheLineRef& line, const std::vector<CacheWaiter>& waiters) {
                    cache_lines.Pass(line, waiters);
                  }),
      cache_lines(loop, bus, membership, keys),
      near_cache(settings.near_cache_bytes > 0
                     ? std::make_unique<NearCache>(static_cast<size_t>(settings.near_cache_bytes), NearFeed::kMaxAge)
                     : nullptr),
      near_feed(near_cache == nullptr ? nullptr : std::make_unique<NearFeed>(loop, commands, link, keys, *near_cache)),
      cache(cache_store, cache_lines, near_cache.get(), bus.clock()),
      cache_scan(commands, keys),
      cache_restorer(commands, keys,
                     [this](const CacheLineRef& line, const std::vector<CacheWaiter>& waiters) {
                       cache_lines.Pass(line, waiters);
                     }),
      tasks(commands, keys, settings.task_lease,
            [this](const std::string& queue, TaskHints hints) {
              if (hints.next.has_value()) sweeper.SweepAt(queue, *hints.next);
              task_signals.Send(queue, std::move(hints));
            }),
      task_signals(loop, bus, membership, keys),
      sweeper(loop, bus, membership, tasks),
      task_watchers(loop, bus, membership, tasks, task_signals),
      workers(loop, bus, membership, tasks),
      room_store(loop, commands, bus, keys),
      room_feed(loop, bus, keys),
      ghost_sweeper(loop, membership, presence, room_store, settings.resume_window),
      room_hooks(membership, rpc),
      room_reader(room_store, membership),
      connections({.loop = loop,
                   .bus = bus,
                   .membership = membership,
                   .presence = presence,
                   .rooms = room_store,
                   .feed = room_feed,
                   .hooks = room_hooks,
                   .reader = room_reader,
                   .rpc = rpc,
                   .keys = keys},
                  ConnectionSettingsOf(settings)),
      connection_streams(loop, connections, ConnectionLimitsOf(settings)),
      room_watchers(membership, room_store, room_feed),
      drain(loop, membership, host, rpc),
      watchers(membership),
      subscribers(pubsub, membership),
      hooks(std::move(node_hooks)),
      health(loop, bus, membership, drain, [this](bool serving) { hooks.on_serving(serving); }) {
  const auto stats = [this] {
    internal::v1::NodeStats now;
    now.set_calls_running(static_cast<uint32_t>(host.running()));
    now.set_calls_waiting(rpc.waiting());
    now.set_applications(static_cast<uint32_t>(host.applications()));
    now.set_subscribers(static_cast<uint32_t>(subscribers.size()));
    now.set_workers(static_cast<uint32_t>(workers.workers()));
    now.set_tasks_running(static_cast<uint32_t>(workers.running()));
    now.set_connections(static_cast<uint32_t>(connections.connections()));
    return now;
  };
  membership.SetStatsSource(stats);
  cache_lines.SetStore(&cache_store);
  // Who writes through this node reads it here at once.
  if (near_cache != nullptr) {
    const auto changed = [this](const std::string& key) { near_cache->Changed({key}); };
    cache_store.OnChange(changed);
    cache_scan.OnChange(changed);
    cache_restorer.OnChange(changed);
  }
  task_signals.SetWorkListener(&workers);
  task_signals.SetUnheardListener([this](const std::string& queue) { sweeper.SweepNow(queue); });
  connections.ServeCalls(&node_methods);
  host.SetHolds([this](absl::string_view connection_id) { return connections.Holds(connection_id); });
  bus.OnState([this](const absl::Status& state) {
    workers.OnBackplane(state);
    connections.OnBackplane(state);
  });
  drain.AlsoWaitFor([this] { return workers.running(); });
  drain.AlsoWaitFor([this] { return cache_pipelines.running(); });
  drain.AlsoWaitFor([this] { return connections.unsettled(); });
  drain.AlsoAwaitLeaving([this] { return cache_pipelines.size(); });
  drain.OnBegin([this](const std::vector<std::string>& alternatives) {
    subscribers.Drain(alternatives);
    workers.Drain(alternatives);
    cache_pipelines.Drain(alternatives);
    connections.Drain(alternatives);
  });
  node_methods.SetControl(
      {.shutdown = [this] { hooks.shutdown(); },
       .drain = [this](absl::Duration timeout, DrainSequence::Done done) { drain.Begin(timeout, std::move(done)); },
       .stats = stats,
       .workers = [this] { return WorkersToProto(workers.List(), membership.self().id).SerializeAsString(); }});
  membership.OnServing([this](bool serving) {
    workers.OnServing();
    connections.OnServing(serving);
    if (serving) hooks.named(membership.self());
  });
  membership.OnNode([](const NodeEvent& event) {
    static constexpr const char* kNames[] = {"joined", "left", "lost", "draining", "updated"};
    LOG(INFO) << "node " << kNames[static_cast<int>(event.kind)] << " id=" << event.node.id()
              << " boot=" << event.node.boot_id();
  });
}

void Rooms::CloseStreams(const absl::Status& why) {
  host.CloseAll(why);
  watchers.CloseAll(why);
  subscribers.CloseAll(why);
  workers.CloseAll(why);
  task_watchers.CloseAll(why);
  cache_pipelines.CloseAll(why);
  cache_waits.CloseAll(why);
  connections.CloseAll(why);
  room_watchers.CloseAll(why);
}

}  // namespace actioncluster
