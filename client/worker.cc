#include "actioncluster/worker.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "client/attachment.h"
#include "client/handler_pool.h"
#include "client/work_session.h"

namespace actioncluster::client {
namespace {

constexpr int kMaxConcurrency = 1024;

// Takes a task by its name; null: there is no handler for it.
using FindHandler = std::function<const TaskHandler*(const std::string& name)>;

v1::WorkRequest::Start StartOf(const WorkerOptions& options) {
  v1::WorkRequest::Start start;
  start.mutable_queues()->Add(options.queues.begin(), options.queues.end());
  start.set_concurrency(std::max(options.concurrency, 1U));
  start.set_worker_name(options.name);
  return start;
}

int ThreadsOf(const WorkerOptions& options) {
  if (options.threads > 0) return options.threads;
  return static_cast<int>(std::min<uint32_t>(options.concurrency, kMaxConcurrency));
}

void Run(TaskRun& run, const FindHandler& find) {
  if (const TaskHandler* const handler = find(run.task().name())) return TaskRun::Execute(run, *handler);
  // The node has not asked for what it was told.
  TaskRun::Execute(run, [](TaskContext& context) {
    return absl::UnimplementedError(absl::StrCat("this worker has no handler for ", context.task().name()));
  });
}

}  // namespace

struct Worker::Impl {
  Impl(Client& client, std::map<std::string, TaskHandler> handlers, WorkerOptions options) {
    auto config = std::make_shared<WorkConfig>();
    config->start = StartOf(options);
    for (const auto& [name, handler] : handlers) config->start.add_names(name);
    // To a node no names are all.
    if (handlers.empty()) config->fault = absl::InvalidArgumentError("a worker takes at least one handler");
    Begin(client, std::move(config), std::move(options),
          [handlers = std::move(handlers)](const std::string& name) -> const TaskHandler* {
            const auto found = handlers.find(name);
            return found == handlers.end() ? nullptr : &found->second;
          });
  }
  Impl(Client& client, TaskHandler handler, WorkerOptions options) {
    auto config = std::make_shared<WorkConfig>();
    config->start = StartOf(options);
    Begin(client, std::move(config), std::move(options),
          [handler = std::move(handler)](const std::string&) { return &handler; });
  }

  void Begin(Client& client, std::shared_ptr<WorkConfig> config, WorkerOptions options, FindHandler find) {
    pool = std::make_shared<HandlerPool>(ThreadsOf(options));
    config->run = [pool = pool, find = std::make_shared<const FindHandler>(std::move(find))](
                      std::shared_ptr<TaskRun> run) { pool->Run([run = std::move(run), find] { Run(*run, *find); }); };
    attachment = Attachment::Create(
        client,
        [&client, config = std::move(config)](const std::shared_ptr<grpc::Channel>& channel,
                                              Session::Observer observer) {
          return std::make_shared<WorkSession>(client, channel, config, std::move(observer));
        },
        std::move(options.on_event));
    attachment->Start();
  }

  std::shared_ptr<HandlerPool> pool;
  std::shared_ptr<Attachment> attachment;
};

Worker::Worker(Client& client, std::map<std::string, TaskHandler> handlers, WorkerOptions options)
    : impl_(std::make_unique<Impl>(client, std::move(handlers), std::move(options))) {}

Worker::Worker(Client& client, TaskHandler handler, WorkerOptions options)
    : impl_(std::make_unique<Impl>(client, std::move(handler), std::move(options))) {}

Worker::~Worker() { Stop(); }

absl::Status Worker::AwaitAttached(absl::Duration limit) { return impl_->attachment->AwaitAttached(limit); }

void Worker::Stop(absl::Duration grace) {
  impl_->attachment->Stop(grace);
  // All streams have ended: what has not begun need not.
  impl_->pool->Stop();
}

}  // namespace actioncluster::client
