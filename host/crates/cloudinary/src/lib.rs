//! Image hosting on Cloudinary.
