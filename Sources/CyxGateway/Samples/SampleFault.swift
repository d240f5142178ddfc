/// Why the samples of a data set cannot be told apart, or not be given as was asked.
struct SampleFault: Error, Equatable {
    var code: String
    var message: String
    var advice: String?

    /// The object is not what its format says.
    static func malformed(_ message: String) -> SampleFault {
        SampleFault(code: "MalformedSample", message: message, advice: nil)
    }

    /// The object may be well-formed, and has no such samples.
    static func unfit(_ message: String, _ advice: String? = nil) -> SampleFault {
        SampleFault(code: "FormatMismatch", message: message, advice: advice)
    }
}

extension RESTError {
    init(_ fault: SampleFault) {
        self.init(fault.code, 400, fault.message, advice: fault.advice)
    }
}
