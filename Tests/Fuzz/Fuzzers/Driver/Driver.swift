import CLibFuzzer
import FuzzSupport
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The property under test. It is global, because libFuzzer's callback has no context argument.
private let current = Mutex<Property?>(nil)

/// Runs libFuzzer over the property that the variable FUZZ_PROPERTY names.
///
/// An environment variable is used instead of an argument, because libFuzzer starts itself again for some of its work.
public func fuzz(_ properties: [Property]) {
    let name = getenv("FUZZ_PROPERTY").map { String(cString: $0) } ?? ""
    guard let property = properties.first(where: { $0.name == name }) else {
        print("FUZZ_PROPERTY must be one of: \(properties.map(\.name).joined(separator: ", "))")
        exit(64)
    }
    current.withLock { $0 = property }
    var count = CommandLine.argc
    var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = CommandLine.unsafeArgv
    exit(LLVMFuzzerRunDriver(&count, &arguments, fuzzOne))
}

@_cdecl("LLVMFuzzerTestOneInput")
func fuzzOne(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    guard let property = current.withLock({ $0 }) else { return -1 }
    return property.fuzz(data, count)
}
