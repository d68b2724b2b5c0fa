"""Install mammolibs. Exact versions that are tested together stand in requirements.txt."""

from setuptools import find_packages, setup

setup(
    name="mammolibs",
    version="0.1.0",
    description="Two-stage mammography pipeline, trained data-parallel on TPU, GPU and CPU",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(include=["mammolibs", "mammolibs.*"]),
    package_data={"mammolibs.evaluate": ["checklists/*.json"]},
    install_requires=[
        "numpy>=2.0",
        "pydicom>=3.0.2",
        "imagecodecs>=2025.3.30",
        "pylibjpeg>=2.1",
        "pylibjpeg-openjpeg>=2.4",
        "pyjpegls>=1.5",
        "opencv-python-headless>=5.0",
        "pyarrow>=16",
        "scipy>=1.11",
        "scikit-learn>=1.4",
        "matplotlib>=3.8",
        "openpyxl>=3.1",
        "xlrd>=2.0.1",
        "google-crc32c>=1.5",
        "torch>=2.9",
        "safetensors>=0.4",
        "tqdm>=4.66",
    ],
    extras_require={
        "xla": ["torch_xla==2.9.0"],
        "tpu": ["torch_xla[tpu]==2.9.0"],
        "gcs": ["google-cloud-storage>=3.17"],
        "cluster": ["dask>=2026.8", "distributed>=2026.8"],
        "tensorboard": ["tensorboard>=2.16"],
        "test": [
            "pytest>=8",
            "pytest-xdist>=3.5",
            "filelock>=3.13",
            "ruff>=0.14",
            "scikit-image>=0.24",
            "torchvision>=0.24",
            "dicom3tools",
        ],
    },
)
