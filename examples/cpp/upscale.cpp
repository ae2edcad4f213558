// Enlarge a picture with a run's model_int8.tflite through the C API of LiteRT (TensorFlow Lite).
//
//   upscale model_int8.tflite small.ppm large.ppm [threads]
//
// The file reads and writes uint8 RGB, rows first, as a binary PPM does: no scaling, no
// normalisation, no change of layout. Any size goes in, unless the file was exported for one.

#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "tensorflow/lite/c/c_api.h"

namespace {

constexpr int kColours = 3;
constexpr int kLargestSide = 16384;

struct Picture {
  int width = 0;
  int height = 0;
  std::vector<std::uint8_t> pixels;  // height x width x 3
};

int next_number(std::istream& in) {
  while ((in >> std::ws) && in.peek() == '#') {
    in.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
  }
  int value = 0;
  if (!(in >> value)) throw std::runtime_error("the header of the PPM is damaged");
  return value;
}

Picture read_ppm(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::string magic(2, ' ');
  if (!in.read(&magic[0], 2) || magic != "P6") {
    throw std::runtime_error(path + " is no binary PPM (P6)");
  }
  Picture picture;
  picture.width = next_number(in);
  picture.height = next_number(in);
  const int white = next_number(in);
  const bool fits = picture.width >= 1 && picture.width <= kLargestSide && picture.height >= 1 &&
                    picture.height <= kLargestSide;
  if (!fits || white != 255) throw std::runtime_error(path + ": its size or depth cannot be used");
  in.get();  // one white space ends the header
  picture.pixels.resize(std::size_t{kColours} * picture.width * picture.height);
  if (!in.read(reinterpret_cast<char*>(picture.pixels.data()),
               static_cast<std::streamsize>(picture.pixels.size()))) {
    throw std::runtime_error(path + " ends too early");
  }
  return picture;
}

void write_ppm(const std::string& path, const Picture& picture) {
  std::ofstream out(path, std::ios::binary);
  out << "P6\n" << picture.width << ' ' << picture.height << "\n255\n";
  out.write(reinterpret_cast<const char*>(picture.pixels.data()),
            static_cast<std::streamsize>(picture.pixels.size()));
  if (!out.flush()) throw std::runtime_error(path + " cannot be written");
}

void check(TfLiteStatus status, const char* what) {
  if (status != kTfLiteOk) throw std::runtime_error(std::string("LiteRT cannot ") + what);
}

template <typename T>
using Owned = std::unique_ptr<T, void (*)(T*)>;

Picture enlarge(const std::string& file, const Picture& small, int threads) {
  Owned<TfLiteModel> model(TfLiteModelCreateFromFile(file.c_str()), TfLiteModelDelete);
  if (!model) throw std::runtime_error(file + " is no TFLite file");
  Owned<TfLiteInterpreterOptions> options(TfLiteInterpreterOptionsCreate(),
                                          TfLiteInterpreterOptionsDelete);
  TfLiteInterpreterOptionsSetNumThreads(options.get(), threads);
  Owned<TfLiteInterpreter> interpreter(TfLiteInterpreterCreate(model.get(), options.get()),
                                       TfLiteInterpreterDelete);
  if (!interpreter) throw std::runtime_error(file + " cannot be run");

  const int shape[] = {1, small.height, small.width, kColours};
  check(TfLiteInterpreterResizeInputTensor(interpreter.get(), 0, shape, 4), "resize the input");
  check(TfLiteInterpreterAllocateTensors(interpreter.get()), "allocate memory");
  TfLiteTensor* input = TfLiteInterpreterGetInputTensor(interpreter.get(), 0);
  if (TfLiteTensorType(input) != kTfLiteUInt8) {
    throw std::runtime_error(file + " does not read uint8: name a model_int8.tflite");
  }
  check(TfLiteTensorCopyFromBuffer(input, small.pixels.data(), small.pixels.size()),
        "take the picture");
  check(TfLiteInterpreterInvoke(interpreter.get()), "run the network");

  const TfLiteTensor* output = TfLiteInterpreterGetOutputTensor(interpreter.get(), 0);
  if (TfLiteTensorType(output) != kTfLiteUInt8 || TfLiteTensorNumDims(output) != 4) {
    throw std::runtime_error(file + " does not write a uint8 picture");
  }
  Picture large;
  large.height = TfLiteTensorDim(output, 1);
  large.width = TfLiteTensorDim(output, 2);
  large.pixels.resize(TfLiteTensorByteSize(output));
  check(TfLiteTensorCopyToBuffer(output, large.pixels.data(), large.pixels.size()),
        "give the picture");
  return large;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4 || argc > 5) {
    std::cerr << "usage: upscale model_int8.tflite small.ppm large.ppm [threads]\n";
    return 2;
  }
  try {
    const int threads = argc == 5 ? std::atoi(argv[4]) : 2;
    const Picture large = enlarge(argv[1], read_ppm(argv[2]), threads < 1 ? 1 : threads);
    write_ppm(argv[3], large);
    std::cout << argv[3] << ": " << large.width << "x" << large.height << '\n';
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << '\n';
    return 2;
  }
}
