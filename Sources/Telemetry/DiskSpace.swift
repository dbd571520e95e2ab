#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The size and the free space of the file system that contains a file.
public struct DiskSpace: Hashable, Sendable {
    /// The size of the file system in octets.
    public var size: UInt64
    /// The free octets for users other than root.
    public var free: UInt64

    public init(size: UInt64, free: UInt64) {
        self.size = size
        self.free = free
    }

    /// Returns nil when the space can't be determined. May block if the file system does.
    public init?(of path: String) {
        var found = statvfs()
        guard statvfs(path, &found) == 0 else { return nil }
        size = UInt64(found.f_blocks) * UInt64(found.f_frsize)
        free = UInt64(found.f_bavail) * UInt64(found.f_frsize)
    }
}
