#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// How full the file system is that a file lies on.
public struct DiskSpace: Hashable, Sendable {
    public var size: UInt64
    /// For who is not root.
    public var free: UInt64

    public init(size: UInt64, free: UInt64) {
        self.size = size
        self.free = free
    }

    /// Nil when it can't be told. May block, where the file system does.
    public init?(of path: String) {
        var found = statvfs()
        guard statvfs(path, &found) == 0 else { return nil }
        size = UInt64(found.f_blocks) * UInt64(found.f_frsize)
        free = UInt64(found.f_bavail) * UInt64(found.f_frsize)
    }
}
