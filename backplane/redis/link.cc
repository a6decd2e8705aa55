#include "backplane/redis/link.h"

#include <sys/un.h>
#include <uv.h>

#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "backplane/domain/clock.h"
#include "backplane/domain/error.h"
#include "backplane/redis/subscriber.h"
#include "glog/logging.h"

namespace actioncluster::redis {
namespace {

constexpr size_t kReadSize = size_t{64} * 1024;
constexpr size_t kMaxKeptBuffer = size_t{1} << 20;
// Of the time for the master: others may have to be asked, too.
constexpr int kSentinelShare = 2;

}  // namespace

// One connection. It outlives the link's interest in it until libuv has let go.
struct Link::Stream {
  union {
    uv_handle_t handle;
    uv_stream_t stream;
    uv_tcp_t tcp;
    uv_pipe_t pipe;
  };
  uv_connect_t connect;
  Link* link;  // Null: closed.
  size_t unwritten = 0;
  std::array<char, kReadSize> buffer;

  static void OnConnect(uv_connect_t* request, int status) {
    auto* self = static_cast<Stream*>(request->data);
    if (self->link == nullptr) return;
    if (status < 0) return self->link->Fail(uv_strerror(status));
    self->link->OnOpen();
  }
  static void OnAllocate(uv_handle_t* handle, size_t, uv_buf_t* buf) {
    auto* self = static_cast<Stream*>(handle->data);
    *buf = uv_buf_init(self->buffer.data(), static_cast<unsigned>(self->buffer.size()));
  }
  static void OnRead(uv_stream_t* stream, ssize_t size, const uv_buf_t* buf) {
    auto* self = static_cast<Stream*>(stream->data);
    if (self->link == nullptr || size == 0) return;
    if (size == UV_EOF) return self->link->Fail("the connection was closed by Redis");
    if (size < 0) return self->link->Fail(uv_strerror(static_cast<int>(size)));
    self->link->OnBytes(absl::string_view(buf->base, static_cast<size_t>(size)));
  }
  static void OnClosed(uv_handle_t* handle) { delete static_cast<Stream*>(handle->data); }
};

// Bytes that the socket would not take at once.
struct Link::Write {
  uv_write_t request;
  std::string bytes;
  Stream* stream;

  static void OnWritten(uv_write_t* request, int status) {
    const std::unique_ptr<Write> self(static_cast<Write*>(request->data));
    self->stream->unwritten -= self->bytes.size();
    if (status < 0 && self->stream->link != nullptr) self->stream->link->Fail(uv_strerror(status));
  }
};

// A host name on its way to an address.
struct Link::Resolution {
  uv_getaddrinfo_t request;
  Link* link;  // Null: cancelled.

  static void OnResolved(uv_getaddrinfo_t* request, int status, addrinfo* addresses) {
    const std::unique_ptr<Resolution> self(static_cast<Resolution*>(request->data));
    const std::unique_ptr<addrinfo, decltype(&uv_freeaddrinfo)> free_addresses(addresses, &uv_freeaddrinfo);
    if (self->link == nullptr) return;
    self->link->resolution_ = nullptr;
    if (status < 0) return self->link->Fail(absl::StrCat("its name cannot be resolved: ", uv_strerror(status)));
    uint64_t count = 0;
    for (const addrinfo* a = addresses; a != nullptr; a = a->ai_next) ++count;
    // Each attempt takes the next address: one that is dead costs one attempt.
    const addrinfo* address = addresses;
    for (uint64_t i = (self->link->attempts_ - 1) % count; i > 0; --i) address = address->ai_next;
    self->link->ConnectTcp(address->ai_addr);
  }
};

Link::Link(Loop& loop, LinkOptions options, LinkCore& core, StateListener on_state)
    : loop_(loop),
      options_(std::move(options)),
      core_(core),
      on_state_(std::move(on_state)),
      state_(BackplaneUnavailable(absl::StrCat("Redis at ", options_.endpoint.Redacted(), ": not connected yet"))),
      sentinels_(options_.endpoint.sentinels.has_value() ? std::make_unique<SentinelCore>(options_) : nullptr),
      speaking_(&core_),
      backoff_(options_.min_backoff, options_.max_backoff),
      alarm_(loop, [this] { OnAlarm(); }),
      tick_(loop, [this] { OnTick(); }),
      flush_hook_(loop.AddFlushHook([this] { Flush(); })),
      alive_(std::make_shared<Link*>(this)) {
  loop_.Post([weak = std::weak_ptr<Link*>(alive_)] {
    if (const auto link = weak.lock()) (*link)->Connect();
  });
  if (sentinels_) ListenToSentinels();
}

Link::~Link() { CloseTransport(After::kWhatWasSent); }

// While a sentinel is asked, a new connection is being made anyway.
void Link::Reset(const absl::Status& why) {
  if (!asking()) FailLater(why.message());
}

void Link::Connect() {
  ++attempts_;
  if (sentinels_) return Dial(sentinels_->asked(), options_.connect_timeout / kSentinelShare, *sentinels_);
  Dial({.host = options_.endpoint.host, .port = options_.endpoint.port}, options_.connect_timeout, core_);
}

void Link::DialMaster() {
  const HostPort master = *sentinels_->answer();
  CloseTransport(After::kWhatWasSent);
  Dial(master, options_.connect_timeout, core_);
}

void Link::Dial(const HostPort& address, absl::Duration timeout, LinkCore& core) {
  ++dials_;
  dialed_ = address;
  speaking_ = &core;
  tls_ = nullptr;
  alarm_.Set(MonotonicNow() + timeout);
  if (!options_.endpoint.unix_path.empty()) return ConnectUnix();
  sockaddr_in v4;
  if (uv_ip4_addr(dialed_.host.c_str(), dialed_.port, &v4) == 0) {
    return ConnectTcp(reinterpret_cast<const sockaddr*>(&v4));
  }
  sockaddr_in6 v6;
  if (uv_ip6_addr(dialed_.host.c_str(), dialed_.port, &v6) == 0) {
    return ConnectTcp(reinterpret_cast<const sockaddr*>(&v6));
  }
  Resolve();
}

void Link::ConnectUnix() {
  // libuv would cut it short, and connect to another socket.
  if (options_.endpoint.unix_path.size() >= sizeof(sockaddr_un::sun_path)) return Fail("the socket's path is too long");
  stream_ = new Stream;
  stream_->link = this;
  CHECK_EQ(uv_pipe_init(loop_.uv(), &stream_->pipe, 0), 0);
  stream_->handle.data = stream_;
  stream_->connect.data = stream_;
  uv_pipe_connect(&stream_->connect, &stream_->pipe, options_.endpoint.unix_path.c_str(), &Stream::OnConnect);
}

void Link::ConnectTcp(const sockaddr* address) {
  stream_ = new Stream;
  stream_->link = this;
  CHECK_EQ(uv_tcp_init(loop_.uv(), &stream_->tcp), 0);
  stream_->handle.data = stream_;
  stream_->connect.data = stream_;
  uv_tcp_nodelay(&stream_->tcp, 1);
  const int error = uv_tcp_connect(&stream_->connect, &stream_->tcp, address, &Stream::OnConnect);
  if (error < 0) Fail(uv_strerror(error));
}

void Link::Resolve() {
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  auto resolution = std::make_unique<Resolution>();
  resolution->link = this;
  resolution->request.data = resolution.get();
  const int error = uv_getaddrinfo(loop_.uv(), &resolution->request, &Resolution::OnResolved, dialed_.host.c_str(),
                                   absl::StrCat(dialed_.port).c_str(), &hints);
  if (error < 0) return Fail(uv_strerror(error));
  resolution_ = resolution.release();
}

void Link::OnOpen() {
  if (options_.endpoint.tls) {
    // Read for each connection: certificates are renewed.
    const absl::StatusOr<TlsContext> context = TlsContext::Load(options_.tls_files);
    if (!context.ok()) return Fail(context.status().message());
    tls_ = std::make_unique<TlsStream>(*context, dialed_.host, *speaking_);
  }
  const int error = uv_read_start(&stream_->stream, &Stream::OnAllocate, &Stream::OnRead);
  if (error < 0) return Fail(uv_strerror(error));
  open_ = true;
  spoken().Opened(MonotonicNow());
}

void Link::OnBytes(absl::string_view bytes) {
  if (const absl::Status status = spoken().Feed(bytes, MonotonicNow()); !status.ok()) return Fail(status.message());
  if (state_.ok() || !speaking_->ready()) return;
  if (asking()) return DialMaster();
  alarm_.Cancel();
  backoff_.Reset();
  Become(absl::OkStatus());
}

void Link::OnAlarm() {
  if (stream_ == nullptr && resolution_ == nullptr) return Connect();
  const absl::Duration limit = asking() ? options_.connect_timeout / kSentinelShare : options_.connect_timeout;
  const bool mute = tls_ != nullptr && !tls_->established();
  Fail(absl::StrCat("not ready within ", absl::FormatDuration(limit), mute ? ": it does not answer by TLS" : ""));
}

void Link::OnTick() {
  tick_at_ = absl::InfiniteFuture();
  absl::Time next;
  const absl::Status status = spoken().Tick(MonotonicNow(), &next);
  // The flush at the end of this turn sets the next tick.
  if (!status.ok() && open_) Fail(status.message());
}

void Link::Flush() {
  if (open_) {
    spoken().TakeOutput(&output_);
    if (!output_.empty()) {
      const absl::Status status = WriteOutput();
      if (!status.ok()) FailLater(status.message());
      output_.clear();
      if (output_.capacity() > kMaxKeptBuffer) output_.shrink_to_fit();
    }
  }
  absl::Time next;
  spoken().Tick(absl::InfinitePast(), &next).IgnoreError();
  if (next == tick_at_) return;
  tick_at_ = next;
  tick_.Set(next);
}

absl::Status Link::WriteOutput() {
  if (stream_->unwritten + output_.size() > options_.max_unwritten)
    return absl::UnavailableError("Redis does not read what it is sent");
  uv_buf_t buf = uv_buf_init(output_.data(), static_cast<unsigned>(output_.size()));
  int written = uv_try_write(&stream_->stream, &buf, 1);
  if (written == UV_EAGAIN) written = 0;
  if (written < 0) return absl::UnavailableError(uv_strerror(written));
  if (static_cast<size_t>(written) == output_.size()) return absl::OkStatus();
  auto write = std::make_unique<Write>();
  write->stream = stream_;
  write->bytes = written == 0 ? std::move(output_) : output_.substr(static_cast<size_t>(written));
  write->request.data = write.get();
  buf = uv_buf_init(write->bytes.data(), static_cast<unsigned>(write->bytes.size()));
  const int error = uv_write(&write->request, &stream_->stream, &buf, 1, &Write::OnWritten);
  if (error < 0) return absl::UnavailableError(uv_strerror(error));
  stream_->unwritten += write->bytes.size();
  static_cast<void>(write.release());  // OnWritten frees it.
  return absl::OkStatus();
}

void Link::Become(const absl::Status& state) {
  if (state == state_) return;
  state_ = state;
  if (state_.ok()) {
    LOG(INFO) << "redis connection ready endpoint=" << options_.endpoint.Redacted() << " name=" << options_.client_name
              << (sentinels_ ? absl::StrCat(" master=", dialed_.ToString()) : "");
  } else {
    LOG(WARNING) << "redis connection down name=" << options_.client_name << " why=\"" << state_.message() << '"';
  }
  on_state_(state_);
}

void Link::Fail(absl::string_view why) {
  if (asking()) return FailToAsk(why);
  if (sentinels_ == nullptr) return GiveUp(why);
  sentinels_->Distrust();
  GiveUp(absl::StrCat("the master ", dialed_.ToString(), ": ", why));
}

void Link::FailToAsk(absl::string_view why) {
  if (!sentinels_->Pass(why)) return GiveUp(sentinels_->complaint());
  CloseTransport(After::kNothing);
  spoken().Closed(BackplaneUnavailable("the next sentinel is asked"));
  alarm_.Set(MonotonicNow());
}

void Link::GiveUp(absl::string_view why) {
  const absl::Status state = BackplaneUnavailable(absl::StrCat("Redis at ", options_.endpoint.Redacted(), ": ", why));
  CloseTransport(After::kNothing);
  alarm_.Set(MonotonicNow() + backoff_.Next(absl::Uniform(random_, 0.0, 1.0)));
  Become(state);
  spoken().Closed(state);
}

void Link::FailLater(absl::string_view why) {
  loop_.Post([weak = std::weak_ptr<Link*>(alive_), dial = dials_, reason = std::string(why)] {
    const auto link = weak.lock();
    if (link && (*link)->dials_ == dial && (*link)->open_) (*link)->Fail(reason);
  });
}

void Link::ListenToSentinels() {
  const Sentinels& sentinels = *options_.endpoint.sentinels;
  for (size_t i = 0; i < sentinels.addresses.size(); ++i) {
    LinkOptions options = options_;
    options.endpoint = {.unix_path = {},
                        .host = sentinels.addresses[i].host,
                        .port = sentinels.addresses[i].port,
                        .user = sentinels.user,
                        .password = sentinels.password,
                        .tls = options_.endpoint.tls};
    ears_.push_back(std::make_unique<Subscriber>(
        loop_, std::move(options), [this, i](absl::string_view, absl::string_view what) { OnSwitch(i, what); }));
    ears_.back()->Subscribe("+switch-master", nullptr);
  }
}

void Link::OnSwitch(size_t sentinel, absl::string_view what) {
  // NAME OLD-HOST OLD-PORT NEW-HOST NEW-PORT
  const std::vector<absl::string_view> words = absl::StrSplit(what, ' ');
  if (!state_.ok() || words.size() != 5 || words[0] != options_.endpoint.sentinels->master) return;
  if (words[3] == dialed_.host && words[4] == absl::StrCat(dialed_.port)) return;
  Fail("a sentinel names another master");
  sentinels_->Prefer(sentinel);
}

void Link::CloseTransport(After after) {
  open_ = false;
  output_.clear();
  if (resolution_ != nullptr) {
    resolution_->link = nullptr;
    uv_cancel(reinterpret_cast<uv_req_t*>(&resolution_->request));
    resolution_ = nullptr;
  }
  if (stream_ != nullptr) {
    stream_->link = nullptr;
    // It fails where there is no socket yet.
    if (after == After::kWhatWasSent || stream_->handle.type != UV_TCP ||
        uv_tcp_close_reset(&stream_->tcp, &Stream::OnClosed) < 0) {
      uv_close(&stream_->handle, &Stream::OnClosed);
    }
    stream_ = nullptr;
  }
}

}  // namespace actioncluster::redis
