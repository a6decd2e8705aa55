#include "tests/chaos/network.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <optional>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "glog/logging.h"

namespace actioncluster::chaos {
namespace {

constexpr char kLoopback[] = "lo";
constexpr char kDevice[] = "wire";
constexpr char kMask[] = "255.255.255.0";
constexpr size_t kMaxPacket = 65'536;

absl::Status Refused(absl::string_view what) {
  return absl::UnavailableError(absl::StrCat("network namespaces cannot be had here: ", what, ": ", strerror(errno)));
}

absl::Status WriteTo(const char* path, absl::string_view text) {
  const int file = open(path, O_WRONLY | O_CLOEXEC);
  if (file < 0) return Refused(path);
  const absl::Cleanup closer = [file] { close(file); };
  return write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size()) ? absl::OkStatus() : Refused(path);
}

ifreq Named(absl::string_view device) {
  ifreq request = {};
  device.copy(request.ifr_name, sizeof request.ifr_name - 1);
  return request;
}

// Of a device of this thread's namespace.
absl::Status Set(int socket, absl::string_view device, unsigned long what, const std::string& address) {
  ifreq request = Named(device);
  sockaddr_in value = {};
  value.sin_family = AF_INET;
  CHECK_EQ(inet_pton(AF_INET, address.c_str(), &value.sin_addr), 1);
  std::memcpy(&request.ifr_addr, &value, sizeof value);
  return ioctl(socket, what, &request) == 0 ? absl::OkStatus() : Refused(absl::StrCat(device, " at ", address));
}

// Lets a device of this thread's namespace work, with an address if it is given one.
absl::Status BringUp(absl::string_view device, const std::string& address = "") {
  const int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (control < 0) return Refused("socket");
  const absl::Cleanup closer = [control] { close(control); };
  if (!address.empty()) {
    if (absl::Status status = Set(control, device, SIOCSIFADDR, address); !status.ok()) return status;
    if (absl::Status status = Set(control, device, SIOCSIFNETMASK, kMask); !status.ok()) return status;
  }
  ifreq request = Named(device);
  if (ioctl(control, SIOCGIFFLAGS, &request) != 0) return Refused(device);
  request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
  return ioctl(control, SIOCSIFFLAGS, &request) == 0 ? absl::OkStatus() : Refused(device);
}

// A device of this thread's namespace, whose packets are read and written here.
absl::StatusOr<int> MakeDevice(const std::string& address) {
  constexpr char kMaker[] = "/dev/net/tun";
  const int device = open(kMaker, O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (device < 0) return Refused(kMaker);
  absl::Cleanup closer = [device] { close(device); };
  ifreq request = Named(kDevice);
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  if (ioctl(device, TUNSETIFF, &request) != 0) return Refused(kMaker);
  if (absl::Status status = BringUp(kDevice, address); !status.ok()) return status;
  std::move(closer).Cancel();
  return device;
}

// For the calling thread alone.
absl::StatusOr<int> MakeNamespace() {
  if (unshare(CLONE_NEWNET) != 0) return Refused("unshare");
  if (absl::Status status = BringUp(kLoopback); !status.ok()) return status;
  const int space = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  return space >= 0 ? absl::StatusOr<int>(space) : Refused("/proc/thread-self/ns/net");
}

}  // namespace

absl::Status EnterOwnNetwork() {
  const uid_t user = geteuid();
  const gid_t group = getegid();
  if (unshare(user == 0 ? CLONE_NEWNET : CLONE_NEWUSER | CLONE_NEWNET) != 0) return Refused("unshare");
  if (user != 0) {
    // As root of the user namespace, or the programs that are started could not enter the networks in it.
    if (absl::Status status = WriteTo("/proc/self/setgroups", "deny"); !status.ok()) return status;
    if (absl::Status status = WriteTo("/proc/self/uid_map", absl::StrCat("0 ", user, " 1")); !status.ok())
      return status;
    if (absl::Status status = WriteTo("/proc/self/gid_map", absl::StrCat("0 ", group, " 1")); !status.ok())
      return status;
  }
  return BringUp(kLoopback);
}

absl::StatusOr<std::unique_ptr<Network>> Network::Create(size_t nodes) {
  std::unique_ptr<Network> network(new Network(nodes));
  for (size_t i = 0; i < network->ends_.size(); ++i) {
    absl::Status status;
    // In a thread of its own, as namespaces are entered by threads, and there is no easy way back.
    std::thread([&] {
      End& end = network->ends_[i];
      const absl::StatusOr<int> space = i == kClients ? absl::StatusOr<int>(-1) : MakeNamespace();
      if (!(status = space.status()).ok()) return;
      end.space = *space;
      const absl::StatusOr<int> device = MakeDevice(Wire::AddressOf(i));
      if (!(status = device.status()).ok()) return;
      end.device = *device;
    }).join();
    if (!status.ok()) return status;
  }
  network->wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  PCHECK(network->wake_ >= 0);
  network->thread_ = std::thread([wire = network.get()] { wire->Run(); });
  return network;
}

Network::~Network() {
  stopping_ = true;
  if (thread_.joinable()) {
    PCHECK(eventfd_write(wake_, 1) == 0);
    thread_.join();
  }
  const auto close_one = [](int file) {
    if (file >= 0) close(file);
  };
  close_one(wake_);
  for (const End& end : ends_) {
    close_one(end.device);
    close_one(end.space);
  }
}

void Network::SetWay(size_t node, Wire::Way way) {
  absl::MutexLock lock(&mutex_);
  wire_.SetWay(kRedis, kFirstNode + node, way);
}

void Network::SetDelay(size_t node, absl::Duration delay) {
  absl::MutexLock lock(&mutex_);
  wire_.SetDelay(kRedis, kFirstNode + node, delay);
}

void Network::Run() {
  std::vector<pollfd> awaited = {{.fd = wake_, .events = POLLIN, .revents = 0}};
  for (const End& end : ends_) awaited.push_back({.fd = end.device, .events = POLLIN, .revents = 0});
  while (!stopping_) {
    const absl::Time due = late_.empty() ? absl::InfiniteFuture() : late_.begin()->first;
    const timespec left = absl::ToTimespec(std::max(due - absl::Now(), absl::ZeroDuration()));
    if (ppoll(awaited.data(), awaited.size(), late_.empty() ? nullptr : &left, nullptr) < 0) {
      PCHECK(errno == EINTR);
      continue;
    }
    for (size_t i = 0; i < ends_.size(); ++i) {
      if (awaited[1 + i].revents != 0) Drain(i);
    }
    DeliverDue(absl::Now());
  }
}

void Network::Drain(size_t from) {
  std::array<char, kMaxPacket> packet;
  while (true) {
    const ssize_t size = read(ends_[from].device, packet.data(), packet.size());
    if (size <= 0) return;
    const absl::Time now = absl::Now();
    std::optional<Wire::Delivery> delivery;
    {
      absl::MutexLock lock(&mutex_);
      delivery = wire_.Pass(from, absl::string_view(packet.data(), static_cast<size_t>(size)), now);
    }
    if (delivery.has_value()) late_.emplace(delivery->due, *std::move(delivery));
  }
}

void Network::DeliverDue(absl::Time now) {
  while (!late_.empty() && late_.begin()->first <= now) {
    const Wire::Delivery& delivery = late_.begin()->second;
    // What the device does not take is lost, as on any network.
    if (write(ends_[delivery.end].device, delivery.packet.data(), delivery.packet.size()) < 0) {
      LOG(WARNING) << "a packet is lost: " << strerror(errno);
    }
    late_.erase(late_.begin());
  }
}

}  // namespace actioncluster::chaos
