#include "backplane/redis/loop.h"

#include <pthread.h>
#include <signal.h>
#include <uv.h>

#include <algorithm>
#include <atomic>
#include <utility>

#include "backplane/domain/clock.h"
#include "glog/logging.h"

namespace actioncluster {
namespace {

// A write to a connection that the peer has closed shall fail with EPIPE, not end the process: libuv writes without
// MSG_NOSIGNAL.
void BlockSigpipe() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

}  // namespace

struct Loop::Impl {
  class Hook;

  static void OnWake(uv_async_t* handle) { static_cast<Loop*>(handle->data)->RunPosted(); }
  static void OnPrepare(uv_prepare_t* handle) { static_cast<Loop*>(handle->data)->impl_->RunHooks(); }
  void RunHooks();

  uv_loop_t uv;
  uv_async_t wake;
  // Between the events of one turn and the wait for those of the next: after timers, posted tasks and sockets alike.
  uv_prepare_t end_of_turn;
  std::vector<Hook*> hooks;  // Null: removed while they ran.
  bool running_hooks = false;
  std::atomic<std::thread::id> thread = std::thread::id();
};

class Loop::Impl::Hook final : public Loop::FlushHook {
 public:
  Hook(Impl& impl, absl::AnyInvocable<void()> run) : run_(std::move(run)), impl_(impl) { impl_.hooks.push_back(this); }
  ~Hook() override {
    const auto self = std::find(impl_.hooks.begin(), impl_.hooks.end(), this);
    if (impl_.running_hooks) {
      *self = nullptr;
    } else {
      impl_.hooks.erase(self);
    }
  }
  void Run() { run_(); }

 private:
  absl::AnyInvocable<void()> run_;
  Impl& impl_;
};

void Loop::Impl::RunHooks() {
  running_hooks = true;
  for (size_t i = 0; i < hooks.size(); ++i) {
    if (hooks[i] != nullptr) hooks[i]->Run();
  }
  running_hooks = false;
  hooks.erase(std::remove(hooks.begin(), hooks.end(), nullptr), hooks.end());
}

Loop::Loop() : impl_(std::make_unique<Impl>()) {
  CHECK_EQ(uv_loop_init(&impl_->uv), 0);
  CHECK_EQ(uv_async_init(&impl_->uv, &impl_->wake, &Impl::OnWake), 0);
  CHECK_EQ(uv_prepare_init(&impl_->uv, &impl_->end_of_turn), 0);
  impl_->wake.data = this;
  impl_->end_of_turn.data = this;
  CHECK_EQ(uv_prepare_start(&impl_->end_of_turn, &Impl::OnPrepare), 0);
}

Loop::~Loop() {
  CHECK(impl_->hooks.empty()) << "a link outlives its loop";
  uv_close(reinterpret_cast<uv_handle_t*>(&impl_->wake), nullptr);
  uv_close(reinterpret_cast<uv_handle_t*>(&impl_->end_of_turn), nullptr);
  uv_walk(
      &impl_->uv, [](uv_handle_t* handle, void*) { CHECK(uv_is_closing(handle)) << "a timer outlives its loop"; },
      nullptr);
  // What was closed has callbacks still to run, which free it; a name that is being resolved is waited for.
  uv_run(&impl_->uv, UV_RUN_DEFAULT);
  CHECK_EQ(uv_loop_close(&impl_->uv), 0);
}

void Loop::Run() {
  BlockSigpipe();
  impl_->thread = std::this_thread::get_id();
  uv_run(&impl_->uv, UV_RUN_DEFAULT);
  impl_->RunHooks();
  impl_->thread = std::thread::id();
}

void Loop::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  uv_async_send(&impl_->wake);
}

void Loop::Post(Task task) {
  bool first;
  {
    absl::MutexLock lock(&mutex_);
    first = posted_.empty();
    posted_.push_back(std::move(task));
  }
  if (first) uv_async_send(&impl_->wake);
}

bool Loop::InLoop() const { return impl_->thread.load() == std::this_thread::get_id(); }

uv_loop_s* Loop::uv() { return &impl_->uv; }

std::unique_ptr<Loop::FlushHook> Loop::AddFlushHook(absl::AnyInvocable<void()> hook) {
  return std::make_unique<Impl::Hook>(*impl_, std::move(hook));
}

void Loop::RunPosted() {
  std::vector<Task> tasks;
  bool stopping;
  do {
    tasks.clear();
    {
      absl::MutexLock lock(&mutex_);
      tasks.swap(posted_);
      stopping = stopping_;
    }
    for (Task& task : tasks) std::move(task)();
    // While running, what the tasks posted has its own turn, so that sockets and timers have theirs.
  } while (stopping && !tasks.empty());
  if (stopping) uv_stop(&impl_->uv);
}

struct Timer::Impl {
  uv_timer_t uv;
  absl::AnyInvocable<void()> on_due;
  std::shared_ptr<Impl> self;  // Until libuv has let go of the handle.

  static void OnDue(uv_timer_t* handle) {
    // The callback may destroy the timer.
    const std::shared_ptr<Impl> impl = static_cast<Impl*>(handle->data)->self;
    impl->on_due();
  }
};

Timer::Timer(Loop& loop, absl::AnyInvocable<void()> on_due) : impl_(std::make_shared<Impl>()) {
  CHECK_EQ(uv_timer_init(loop.uv(), &impl_->uv), 0);
  impl_->uv.data = impl_.get();
  impl_->on_due = std::move(on_due);
  impl_->self = impl_;
}

Timer::~Timer() {
  uv_close(reinterpret_cast<uv_handle_t*>(&impl_->uv), [](uv_handle_t* handle) {
    const std::shared_ptr<Impl> last = std::move(static_cast<Impl*>(handle->data)->self);
  });
}

void Timer::Set(absl::Time when) {
  if (when == absl::InfiniteFuture()) return Cancel();
  // libuv counts from the start of the turn, in whole milliseconds. Never 0: a callback that sets itself anew would
  // never end the turn.
  const absl::Duration from_turn =
      when - MonotonicNow() + absl::Nanoseconds(uv_hrtime()) - absl::Milliseconds(uv_now(impl_->uv.loop));
  const int64_t milliseconds =
      std::max<int64_t>(1, absl::ToInt64Milliseconds(absl::Ceil(from_turn, absl::Milliseconds(1))));
  CHECK_EQ(uv_timer_start(&impl_->uv, &Impl::OnDue, static_cast<uint64_t>(milliseconds), 0), 0);
}

void Timer::Cancel() { uv_timer_stop(&impl_->uv); }

}  // namespace actioncluster
