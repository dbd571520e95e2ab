#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Reads the settings file from disk.
enum SettingsFile {
    /// The largest size of the file, in octets. All settings with their comments need far less. Without a limit, a file
    /// at a wrong path could fill the memory.
    static let maximumSize = 256 << 10

    static func text(of path: String) throws(SettingsMistake) -> String {
        var bytes = try content(path)
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { bytes.removeFirst(3) }
        if let text = String(validating: bytes, as: UTF8.self) { return text }
        let lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        let bad = lines.firstIndex { String(validating: $0, as: UTF8.self) == nil }
        throw SettingsMistake(.file(path, line: bad.map { $0 + 1 }, column: nil), nil, "is not UTF-8 text")
    }

    private static func content(_ path: String) throws(SettingsMistake) -> [UInt8] {
        func mistake(_ problem: String) -> SettingsMistake {
            SettingsMistake(.file(path, line: nil, column: nil), nil, problem)
        }
        // O_NONBLOCK: opening a pipe without a writer would otherwise block the command forever.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else {
            // Other users can't read the file, and people often try commands as another user first.
            let error = errno
            let advice =
                error == EACCES ? "; run commands as root or as the relay's user, which must be able to read it" : ""
            throw mistake("can't be opened: \(String(cString: strerror(error)))\(advice)")
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            throw mistake("can't be read: \(String(cString: strerror(errno)))")
        }
        switch status.st_mode & S_IFMT {
        case S_IFREG: break
        case S_IFDIR: throw mistake("is a directory; name the file in it")
        default:
            throw mistake(
                "is a pipe, a socket or a device; the settings are read again on SIGHUP, so name a regular file")
        }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw mistake("can't be read: \(String(cString: strerror(errno)))") }
            if count == 0 { return bytes }
            bytes += buffer[..<count]
            guard bytes.count <= maximumSize else {
                throw mistake("is larger than \(ByteSize.write(maximumSize)), which no settings file is")
            }
        }
    }
}
