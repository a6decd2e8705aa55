#ifndef ACTIONCLUSTER_SERVER_SUPERVISOR_FILE_DESCRIPTOR_H_
#define ACTIONCLUSTER_SERVER_SUPERVISOR_FILE_DESCRIPTOR_H_

#include <unistd.h>

#include <utility>

namespace actioncluster {

// Owns a file descriptor and closes it. Not thread-safe.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    if (this != &other) {
      Close();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~FileDescriptor() { Close(); }

  // -1: none.
  int get() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }
  // It is the caller's to close now.
  int Release() { return std::exchange(fd_, -1); }
  void Close() {
    if (fd_ >= 0) close(std::exchange(fd_, -1));
  }

 private:
  int fd_ = -1;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_SUPERVISOR_FILE_DESCRIPTOR_H_
