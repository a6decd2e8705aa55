#include "server/supervisor/address_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/supervisor/file_descriptor.h"
#include "server/supervisor/port_guard.h"

namespace actioncluster {
namespace {

std::string PathIn(const std::string& data_dir) { return absl::StrCat(data_dir, "/actioncluster.address"); }

std::string ReachableHost(const std::string& host) {
  if (host == "0.0.0.0" || host == "localhost") return "127.0.0.1";
  return host == "::" ? "::1" : host;
}

// 0, or errno.
int WriteWhole(const std::string& path, const std::string& text) {
  const FileDescriptor file(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file.is_open()) return errno;
  const ssize_t written = write(file.get(), text.data(), text.size());
  if (written < 0) return errno;
  // Of a write that is cut short nobody says why; a full disk is what does it.
  return static_cast<size_t>(written) == text.size() ? 0 : ENOSPC;
}

absl::Status Replace(const std::string& data_dir, const std::vector<std::string>& addresses) {
  const std::string path = PathIn(data_dir);
  const std::string text = absl::StrCat(absl::StrJoin(addresses, "\n"), "\n");
  // Written aside and renamed, so that nobody reads a half. The holder of the lock is alone: a leftover is nobody's.
  const std::string aside = absl::StrCat(path, ".new");
  unlink(aside.c_str());
  int error = WriteWhole(aside, text);
  if (error == 0 && rename(aside.c_str(), path.c_str()) != 0) error = errno;
  if (error == 0) return absl::OkStatus();
  unlink(aside.c_str());
  return absl::InternalError(absl::StrCat("cannot write ", path, ": ", std::strerror(error)));
}

}  // namespace

std::vector<std::string> LocalAddresses(const Settings& settings) {
  std::vector<std::string> addresses;
  for (int port = settings.port; port <= settings.port + settings.workers; ++port) {
    addresses.push_back(HostPort(ReachableHost(settings.host), port));
  }
  return addresses;
}

AddressFile::AddressFile(std::string data_dir) : data_dir_(std::move(data_dir)) {}

AddressFile::AddressFile(AddressFile&& other) noexcept : data_dir_(std::exchange(other.data_dir_, "")) {}

AddressFile::~AddressFile() {
  if (!data_dir_.empty()) Remove(data_dir_);
}

absl::StatusOr<AddressFile> AddressFile::Write(const std::string& data_dir, const std::vector<std::string>& addresses) {
  if (const absl::Status written = Replace(data_dir, addresses); !written.ok()) return written;
  return AddressFile(data_dir);
}

absl::Status AddressFile::Update(const std::vector<std::string>& addresses) const {
  return Replace(data_dir_, addresses);
}

void AddressFile::Remove(const std::string& data_dir) { unlink(PathIn(data_dir).c_str()); }

}  // namespace actioncluster
